/** Runs the commands of docs/admin-api.md in a shell, as a reader would paste them. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const PAGE = new URL('../../docs/admin-api.md', import.meta.url);
const TOOLS = ['bash', 'curl', 'tr', 'sha256sum', 'sed'];
const missing = TOOLS.filter((tool) => spawnSync(tool, ['--version']).error !== undefined);

let under: EdgeUnderTest;
let folder: string;
beforeAll(async () => {
  under = await startEdgeUnderTest();
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-admin-'));
});
afterAll(async () => {
  await under.dispose();
  await rm(folder, { recursive: true, force: true });
});

test('no command has a key among its arguments, where a list of processes shows it', async () => {
  const page = await readFile(PAGE, 'utf8');
  const blocks = [...page.matchAll(/^```(?:sh|bash)\n(.*?)^```$/gms)].map(([, text]) => text ?? '');
  const commands = blocks.join('\n').replaceAll('\\\n', ' ').split('\n');
  // printf is a part of the shell and starts no process.
  const telling = commands.filter((line) => /curl.*(Bearer|pk-|\$(KEY|OPERATOR|PLIMSOLL_\w*KEY)\b)/.test(line));
  expect(telling).toEqual([]);
});

test.skipIf(missing.length > 0)('the commands do what the page says', async () => {
  const blocks = [...(await readFile(PAGE, 'utf8')).matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text ?? '');
  // Only the address and the model are changed, to those of this test.
  const script = blocks
    .join('\necho\n')
    .replace('http://127.0.0.1:8787', under.edge.url)
    .replace('plimsoll-demo', 'scripted');
  const { stdout } = await promisify(execFile)('bash', ['-euc', script], { cwd: folder });
  const [digest, ...answers] = stdout.split('\n').filter((line) => line !== '');
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  const [plan, made, answer, activated, audit, verdict, put] = answers.map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  expect(plan).toMatchObject({ id: 'starter', policy: { limits: { tokens_per_day: 200_000 } } });
  expect(made).toMatchObject({ id: 'acme', name: 'Acme Ltd', state: 'active', plan: 'starter', keys: [] });
  expect(answer).toMatchObject({ plimsoll: { floor: 0.5, budget: 10, policy: { tenant: 'acme' } } });
  expect(activated).toMatchObject({ id: 'acme', policy: { floor: 0.8 }, keys: [{ id: 'web' }] });
  expect(audit).toMatchObject({
    data: [
      { seq: 4, tenant: 'acme', action: 'policy-activate', detail: { to: { version: activated?.policy_version } } },
      { action: 'policy-draft' },
      { action: 'key-create', detail: { key: 'web' } },
      { action: 'tenant-put', detail: { policy: { from: null, to: made?.policy_version } } },
    ],
  });
  expect(verdict).toMatchObject({ valid: true, entries: 4 });
  expect(put).toMatchObject({ id: 'acme', changed: true });
});
