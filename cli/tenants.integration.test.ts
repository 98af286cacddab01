/** `plimsoll tenants` against a running edge, as a user runs it. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';
import { runPlimsoll } from './testing/run-plimsoll.ts';

let under: EdgeUnderTest;
let folder: string;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false });
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-tenants-'));
  await mkdir(path.join(folder, 'mine/plans'), { recursive: true });
  const plan = { name: 'Gold', policy: { floor: 0.1, budget: null } };
  await writeFile(path.join(folder, 'mine/plans/gold.json'), JSON.stringify(plan));
  const keys = [{ id: 'main', sha256: sha256('pk-as-code') }];
  const tenant = { name: 'As code', plan: 'gold', policy: { floor: 0.3, budget: 5 }, keys };
  await writeFile(path.join(folder, 'mine/as-code.json'), JSON.stringify(tenant));
});
afterAll(async () => {
  await under.dispose();
  await rm(folder, { recursive: true, force: true });
});

const tenants = (args: string[], key = OPERATOR_KEY) =>
  runPlimsoll(['tenants', ...args, '--url', under.edge.url], { cwd: folder, env: { PLIMSOLL_OPERATOR_KEY: key } });
const status = async () =>
  (await fetch(`${under.edge.url}/v1/models`, { headers: { authorization: 'Bearer pk-as-code' } })).status;

test('puts a folder, exports it to a file, and imports that again', async () => {
  expect(await tenants(['put', 'mine'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/1 tenants .* 1 of them changed/),
  });
  expect(await status()).toBe(200);
  expect(await tenants(['put', 'mine'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/0 of them changed/) });
  expect(await tenants(['export', 'backup.jsonl'])).toMatchObject({ code: 0, stderr: '' });
  const lines = (await readFile(path.join(folder, 'backup.jsonl'), 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    'plimsoll-backup',
    'plan',
    'history',
    'tenant',
    'end',
  ]);
  const again = await tenants(['import', 'backup.jsonl']);
  expect(again).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^0 tenants and 0 plans were restored, 2 were as they are/),
  });
});

test('says which file is wrong and what is wrong in it, and puts nothing', async () => {
  const write = (name: string, text: string) => writeFile(path.join(folder, 'wrong', name), text);
  await mkdir(path.join(folder, 'wrong'));
  await write('broken.json', '{"name":');
  expect(await tenants(['put', 'wrong'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/broken\.json is not JSON/),
  });
  await write('broken.json', JSON.stringify({ name: 'x', policy: { floor: 2, budget: null }, keys: [] }));
  expect(await tenants(['put', 'wrong'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/broken\.json is not right\n.*floor/s),
  });
  await rm(path.join(folder, 'wrong/broken.json'));
  await write('No_Id.json', '{}');
  expect(await tenants(['put', 'wrong'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/No_Id\.json: an id is/),
  });
  expect(await tenants(['put', 'absent'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/absent cannot be read/),
  });
});

test('needs the operator’s key', async () => {
  expect(await tenants(['export', 'x'], '')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/PLIMSOLL_OPERATOR_KEY is not set/),
  });
  expect(await tenants(['export', 'x'], 'pk-wrong')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/needs the operator key/),
  });
});
