/** The commands of `plimsoll policy` that talk to an edge, against the Worker in workerd. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  storageOf,
} from '#workers/testing/edge-under-test.ts';
import { runPlimsoll } from '../testing/run-plimsoll.ts';

let under: EdgeUnderTest;
let folder: string;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, probeOf: () => ({ hate: 0.95 }) });
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-running-edge-'));
});
afterAll(async () => {
  await under.dispose();
  await rm(folder, { recursive: true, force: true });
});

type Env = Record<string, string>;
const policy = (args: string[], env: Env = { PLIMSOLL_OPERATOR_KEY: OPERATOR_KEY }) =>
  runPlimsoll(['policy', ...args, '--url', under.edge.url], { cwd: folder, env });

/** Makes a tenant with a strict policy, and `ID.json` with a looser one. Returns the file. */
async function make(id: string, document: object = { floor: 0.4, budget: 8 }): Promise<string> {
  const strict = { id, name: id, policy: { floor: 0.9, budget: 1 } };
  expect((await post(under.edge, '/admin/v1/tenants', strict, OPERATOR_KEY)).status).toBe(201);
  await writeFile(path.join(folder, `${id}.json`), JSON.stringify(document));
  return `${id}.json`;
}
async function adminKey(id: string, scope: string): Promise<string> {
  const made = await post(under.edge, `/admin/v1/tenants/${id}/keys`, { scopes: [scope] }, OPERATOR_KEY);
  return ((await made.json()) as { key: string }).key;
}
const versionIn = ({ stdout }: { stdout: string }) => /[0-9a-f]{32}/.exec(stdout)?.[0];

test('a file is pushed, tried as a canary, activated and rolled back, and the log and its hashes tell of it', async () => {
  const file = await make('bakery');
  const pushed = await policy(['push', file]);
  expect(pushed).toEqual({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(
      /^[0-9a-f]{32} is stored \(bakery, revision \d+\)\nLOOSER {3}budget: 1 -> 8\nLOOSER {3}floor: 0.9 -> 0.4\n$/,
    ),
  });
  const version = versionIn(pushed);
  expect((await policy(['push', file])).stdout).toContain(`${version} was there already`);
  const canary = await policy(['activate', file, '--share', '0.25']);
  expect(canary).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(new RegExp(`is active, and ${version} for 25% of the prompts \\(revision \\d+\\)`)),
  });
  expect((await policy(['activate', version!, '--tenant', 'bakery'])).stdout).toMatch(
    new RegExp(`^bakery: ${version} is active \\(revision \\d+\\)\n$`),
  );
  const back = await policy(['rollback', '--tenant', 'bakery']);
  expect(back.stdout).not.toContain(version);

  const log = await policy(['log', '--tenant', 'bakery', '--limit', '2']);
  expect(log.stdout.split('\n')).toEqual([
    back.stdout.trimEnd(),
    expect.stringMatching(/^ +\d+ {2}\S+Z {2}operator {2}policy-rollback {2}\{/),
    expect.stringMatching(/ policy-activate /),
    '',
  ]);
  const verified = await policy(['verify', '--tenant', 'bakery']);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/is whole, 5 entries\n5:[0-9a-f]{64}\n$/) });
  const known = verified.stdout.trimEnd().split('\n').at(-1)!;
  expect(await policy(['verify', '--tenant', 'bakery', '--known', known])).toMatchObject({ code: 0 });
  expect(await policy(['verify', '--tenant', 'bakery', '--known', `5:${'0'.repeat(64)}`])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/entry 5: it is not the entry that was known/),
  });
});

test('a change that somebody made meanwhile is told, and not overwritten unless forced', async () => {
  const file = await make('raced');
  const revision = Number(/revision (\d+)/.exec((await policy(['push', file])).stdout)?.[1]);
  expect((await policy(['activate', file, '--if-match', String(revision)])).code).toBe(0);
  const late = await policy(['rollback', '--tenant', 'raced', '--if-match', String(revision)]);
  expect(late).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      new RegExp(
        `somebody changed the tenant meanwhile, so nothing was done\n.*revision ${revision + 1} .*--force`,
        's',
      ),
    ),
  });
  expect(await policy(['rollback', '--tenant', 'raced', '--force'])).toMatchObject({ code: 0 });
});

test('an entry of the log that was changed in the store is found', async () => {
  await make('forged');
  const storage = await storageOf(under, 'forged');
  await storage.exec(`UPDATE audit SET actor = 'nobody' WHERE seq = 1`);
  expect(await policy(['verify', '--tenant', 'forged'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/forged: the audit log is not whole: entry 1: it is not what was written/),
  });
});

test('the end of the deployment’s log is known elsewhere, so a cut one is found', async () => {
  await make('last');
  const whole = await policy(['verify', '--deployment']);
  expect(whole).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^the deployment: the audit log is whole, \d+/),
  });
  expect(await policy(['verify', '--deployment', '--tenant', 'last'])).toMatchObject({ code: 1 });
  const name = { name: 'index' };
  const index = await under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantIndex', name);
  const [last] = await index.exec('SELECT * FROM audit ORDER BY seq DESC LIMIT 1');
  await index.exec('DELETE FROM audit WHERE seq = ?', last!.seq as number);
  expect(await policy(['verify', '--deployment'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      new RegExp(`entry ${last!.seq}: the chain ends here, but entry ${last!.seq} was known`),
    ),
  });
});

test("a tenant's own key is enough, where its scope is", async () => {
  const file = await make('own');
  const [reader, owner] = [await adminKey('own', 'read'), await adminKey('own', 'admin')];
  expect(await policy(['push', file], { PLIMSOLL_ADMIN_KEY: reader })).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/refuses \(permission_denied\): .*'admin' is wanted/),
  });
  expect(await policy(['push', file], { PLIMSOLL_ADMIN_KEY: owner })).toMatchObject({ code: 0 });
  expect(await policy(['log', '--tenant', 'own'], { PLIMSOLL_ADMIN_KEY: reader })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/ key:[a-z0-9_-]+ +policy-draft /),
  });
});

test('explain asks the edge, under its levels, and a backend for its second look', async () => {
  const file = await make('asks', {
    floor: 0.4,
    budget: 8,
    categories: { hate: { action: 'refuse', ramp: { from: 0.5, full: 0.9 } } },
  });
  expect((await policy(['push', file])).code).toBe(0);
  const looked = await policy(['explain', file, 'Hi', '--model', 'scripted']);
  expect(looked).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/hate 0.95 at the backend, force 1, rules of tenant/),
  });
  const active = await policy(['explain', 'active', 'Hi', '--tenant', 'asks', '--json']);
  expect(JSON.parse(active.stdout)).toMatchObject({ verdict: { line: { floor: 0.9, budget: 1 } }, second_look: null });
});

test('says what is missing or wrong before anything is done', async () => {
  const file = await make('wrong', { floor: 0.4, budget: 8, tests: [{ prompt: 'Hi', expect: { action: 'refuse' } }] });
  const stderrOf = async (args: string[], env?: Env) => {
    const { code, stderr } = await policy(args, env);
    expect(code).toBe(1);
    return stderr;
  };
  expect(await stderrOf(['push', file], {})).toMatch(/PLIMSOLL_ADMIN_KEY and PLIMSOLL_OPERATOR_KEY: neither is set/);
  expect(await stderrOf(['push', file], { PLIMSOLL_ADMIN_KEY: 'pk-wrong' })).toMatch(/refuses \(invalid_api_key\)/);
  expect(await stderrOf(['activate', file])).toMatch(
    /has no version [0-9a-f]{32}; store it first: plimsoll policy push/,
  );
  expect((await policy(['push', file])).code).toBe(0);
  expect(await stderrOf(['activate', file])).toMatch(/invalid_value, policy.tests\): 1 of the policy's own tests fail/);
  expect(await stderrOf(['push', file, '--tenant', 'nobody'])).toMatch(/not_found, id\): There is no such tenant/);
  expect(await stderrOf(['push', file, '--tenant', '../audit'])).toMatch(
    /--tenant: found "..\/audit", wanted a tenant's id/,
  );
  expect(await stderrOf(['rollback'])).toMatch(/--tenant is missing/);
  const nowhere = await runPlimsoll(['policy', 'push', file, '--url', 'http://127.0.0.1:9'], {
    cwd: folder,
    env: { PLIMSOLL_ADMIN_KEY: 'x' },
  });
  expect(nowhere.stderr).toMatch(/http:\/\/127.0.0.1:9 cannot be reached/);
});

test.each([
  ['rollback', /the tenant \(required\)/],
  ['log', /the tenant \(required\)/],
  ['verify', /the tenant \(required, unless there is --deployment\)/],
  ['activate', /left out, it is the file's name/],
])('the help of %s says whether --tenant may be left out', async (name, says) => {
  const { stdout } = await runPlimsoll(['policy', name, '--help'], { cwd: folder });
  expect(stdout.replace(/\s+/g, ' ')).toMatch(says);
});

test('verify does not read the same page for ever', async () => {
  let pages = 0;
  const entry = { tenant: 'loop', at: 0, actor: 'operator', action: 'tenant-put', detail: {}, hash: '0'.repeat(64) };
  const data = [3, 2].map((seq) => ({ ...entry, seq }));
  const server = createServer((request, response) => {
    if (request.url?.includes('/audit/verify') === true) {
      return response.end(JSON.stringify({ valid: true, entries: 3, head: '0'.repeat(64), problem: null }));
    }
    // So that a command which asks on for ever comes to an end here.
    if (++pages > 5) response.statusCode = 500;
    response.end(JSON.stringify({ object: 'list', data }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = { PLIMSOLL_OPERATOR_KEY: OPERATOR_KEY };
  const found = await runPlimsoll(['policy', 'verify', '--tenant', 'loop', '--url', url], { cwd: folder, env });
  server.close();
  expect(found).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/the audit log of loop makes no progress: found entry 3, wanted one from 1 to 1/),
  });
  expect(pages).toBe(2);
});
