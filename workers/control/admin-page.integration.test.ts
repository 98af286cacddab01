/** Runs the commands of docs/admin-api.md in a shell, as a reader would paste them. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const PAGE = new URL('../../docs/admin-api.md', import.meta.url);
const TOOLS = ['bash', 'curl', 'openssl', 'sha256sum', 'sed'];
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
  const [tenants, made, answer, changed, audit] = answers.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(tenants).toMatchObject({ object: 'list' });
  expect(made).toMatchObject({ id: 'acme', name: 'Acme Ltd', changed: true });
  expect(answer).toMatchObject({ plimsoll: { floor: 0.5, budget: 10, policy: { tenant: 'acme' } } });
  expect(changed).toMatchObject({ id: 'acme', changed: true });
  expect(audit).toMatchObject({
    data: expect.arrayContaining([
      expect.objectContaining({
        tenant: 'acme',
        detail: expect.objectContaining({ policy: { from: made?.policy_version, to: changed?.policy_version } }),
      }),
    ]),
  });
});
