/** Whoever else works on this machine reads no answers to clients' prompts. */
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headOf } from '#policies/simulation/results.ts';
import { openResults } from './results-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-results-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const head = headOf({
  ...{ tenant: 'shop', before: 'a', after: 'b', model: 'm', maxTokens: 1, seed: 1, temperature: null },
  ...{ scores: false, prompts: 'digest' },
});
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8);

test.skipIf(process.platform === 'win32')('results are readable by their owner alone', async () => {
  const file = path.join(folder, 'results.jsonl');
  await openResults(file, head, { force: false });
  expect(await modeOf(file)).toBe('600');
  for (const force of [false, true]) {
    await chmod(file, 0o644);
    await openResults(file, head, { force });
    expect([force, await modeOf(file)]).toEqual([force, '600']);
  }
});

test.skipIf(process.platform === 'win32')('a draft that was left over lends its mode to nothing', async () => {
  const file = path.join(folder, 'drafted.jsonl');
  await writeFile(`${file}.${process.pid}.tmp`, 'left over');
  await chmod(`${file}.${process.pid}.tmp`, 0o644);
  await openResults(file, head, { force: false });
  expect(await modeOf(file)).toBe('600');
  expect((await readdir(folder)).filter((name) => name.startsWith('drafted'))).toEqual(['drafted.jsonl']);
});
