import { appendFile, mkdtemp, open, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { watchWeights } from './watch-weights.ts';

let file: string;
beforeEach(async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-watch-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  file = path.join(folder, 'model.safetensors');
  await writeFile(file, 'weights');
});

async function watched(change: () => Promise<unknown>): Promise<string> {
  const { changed, stop } = await watchWeights(file, { everyMs: 5 });
  await change();
  const what = await changed;
  await stop();
  return what;
}

test('a file that grows or is cut is noticed', async () => {
  expect(await watched(() => appendFile(file, '!'))).toBe('found 8 bytes, wanted the 7 that it had at the start');
  expect(await watched(() => truncate(file, 3))).toBe('found 3 bytes, wanted the 8 that it had at the start');
});

test('a byte that is overwritten is noticed', async () => {
  const overwrite = async () => {
    const opened = await open(file, 'r+');
    await opened.write('W', 0);
    await opened.close();
  };
  expect(await watched(overwrite)).toContain('somebody has written to it');
});

test('a file that another one replaces by renaming is still the one that is watched', async () => {
  const { changed, stop } = await watchWeights(file, { everyMs: 1 });
  await rename(file, `${file}.old`);
  await writeFile(file, 'other weights');
  let noticed = false;
  void changed.then(() => {
    noticed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(noticed).toBe(false);
  await appendFile(`${file}.old`, '!');
  expect(await changed).toContain('found 8 bytes');
  await stop();
});
