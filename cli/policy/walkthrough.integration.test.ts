/** The five commands of docs/admin-api.md that make a tenant, run as a reader would paste them. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';

const PAGE = new URL('../../docs/admin-api.md', import.meta.url);
const MAIN = path.join(import.meta.dirname, '../main.ts');
const missing = ['bash', 'curl'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);

let under: EdgeUnderTest;
let folder: string;
beforeAll(async () => {
  // The real Worker: the preset's own tests ask the real classifier.
  under = await startEdgeUnderTest({ seed: false, entry: '../../main.ts' });
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-walkthrough-'));
});
afterAll(async () => {
  await under.dispose();
  await rm(folder, { recursive: true, force: true });
});

test.skipIf(missing.length > 0)('a tenant, its key and its policy take five commands', async () => {
  const [, script = ''] = /^```bash\n(.*?)^```$/ms.exec(await readFile(PAGE, 'utf8')) ?? [];
  const commands = script.trim().split('\n');
  expect(commands.length).toBeLessThanOrEqual(5);
  const env = {
    ...process.env,
    NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    PLIMSOLL: under.edge.url,
    PLIMSOLL_OPERATOR_KEY: OPERATOR_KEY,
  };
  // What the page has the reader write before.
  await writeFile(path.join(folder, 'operator.txt'), `authorization: Bearer ${OPERATOR_KEY}\n`);
  // Only how the command line is started differs: not through npm.
  const run = script.replaceAll('npx plimsoll', `'${process.execPath}' '${MAIN}'`);
  const { stdout } = await promisify(execFile)('bash', ['-euc', run], { cwd: folder, env });
  const [, key = ''] = /"key":"([^"]+)"/.exec(stdout) ?? [];
  expect(stdout).toMatch(/bakery: [0-9a-f]{32} is active \(revision \d+\)\n$/);
  const answer = await post(under.edge, '/v1/chat/completions', ask('Do you have rye bread?'), key);
  const { plimsoll } = (await answer.json()) as { plimsoll: AnswerExtension };
  expect(plimsoll).toMatchObject({ floor: 0.5, budget: 8, policy: { tenant: 'bakery' } });
});
