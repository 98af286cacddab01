import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { readStageFile } from './stage-file.ts';

const schema = z.strictObject({ rank: z.int() });
const read = (dir: string) => readStageFile(dir, 'adapter.json', { schema, stage: 'expert' });

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-stage-file-'));
});
afterAll(() => rm(dir, { recursive: true }));

test('reads back what a stage wrote', async () => {
  await writeFile(path.join(dir, 'adapter.json'), '{"rank": 4}');
  expect(await read(dir)).toEqual({ rank: 4 });
});

test('if the folder is not a run of the stage, names the folder and the stage', async () => {
  await expect(read(path.join(dir, 'none'))).rejects.toThrow(/none holds no run of the stage expert: adapter\.json/);
});

test.each([
  ['a file that is not JSON', '{', /adapter\.json: not JSON/],
  ['an unknown key', '{"rank": 1, "rnak": 2}', /adapter\.json: .*rnak/],
  ['a wrong type', '{"rank": "four"}', /adapter\.json: .*rank/],
])('names the file for %s', async (_, text, message) => {
  await writeFile(path.join(dir, 'adapter.json'), text);
  await expect(read(dir)).rejects.toThrow(message);
});
