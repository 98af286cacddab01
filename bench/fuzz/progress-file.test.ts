import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openProgress } from './progress-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-fuzz-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('a run with the same seed goes on from what held, and another seed begins', async () => {
  const first = await openProgress(path.join(dir, 'new'), 7);
  await first.add('frames', { cases: 100, outcomes: { ended: 60, broken: 40 } });
  await first.add('frames', { cases: 50, outcomes: { ended: 50 } });
  const again = await openProgress(path.join(dir, 'new'), 7);
  expect(again.of('frames')).toEqual({ blocks: 2, cases: 150, outcomes: { ended: 110, broken: 40 } });
  expect(again.of('bodies')).toEqual({ blocks: 0, cases: 0, outcomes: {} });
  expect((await openProgress(path.join(dir, 'new'), 8)).of('frames').blocks).toBe(0);
});

test.each(['', '{', '{"kinds":{"frames":{}}}'])('a file that says %j is not taken for progress', async (text) => {
  await writeFile(path.join(dir, 'fuzz-7.json'), text);
  await expect(openProgress(dir, 7)).rejects.toThrow('fuzz-7.json');
});
