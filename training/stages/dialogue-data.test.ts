import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { dialogueData } from './dialogue-data.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-dialogues-'));
});
afterAll(() => rm(dir, { recursive: true }));
beforeEach(() => void vi.spyOn(process.stderr, 'write').mockReturnValue(true));
afterEach(() => void vi.restoreAllMocks());

async function write(name: string, rows: readonly object[]): Promise<string> {
  const file = path.join(dir, name);
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}
const many = Array.from({ length: 100 }, (_, i) => ({ instruction: `question ${i % 50}`, output: `answer ${i}` }));
const own = [{ licence: 'LicenseRef-own' }];

test('dialogues of files are split by prompt, with their licence and a digest of their rows', async () => {
  const name = `alpaca:${await write('mine.jsonl', many)}`;
  const { train, heldOut, fileRows } = await dialogueData([name], { origins: own, heldOutShare: 0.2 });
  expect(train.length + heldOut.length).toBe(100);
  expect(heldOut.length).toBeGreaterThan(0);
  const prompts = new Set(heldOut.map(({ messages }) => messages[0]!.content));
  expect(train.filter(({ messages }) => prompts.has(messages[0]!.content))).toEqual([]);
  expect(train[0]).toMatchObject({ source: 'mine.jsonl', licence: 'LicenseRef-own' });
  expect(fileRows).toEqual({ [name]: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(process.stderr.write).toHaveBeenCalledWith(
    `${name}: 100 dialogues: ${train.length} to train on, ${heldOut.length} held out; left out: none\n`,
  );
});

test('a file without a dialogue, without a licence or without a layout is an error', async () => {
  const empty = await write('empty.jsonl', [{ instruction: 'q', output: ' ' }]);
  const options = { origins: own, heldOutShare: 0.1 };
  await expect(dialogueData([`alpaca:${empty}`], options)).rejects.toThrow(
    `${empty}: there is no dialogue in it; left out: 1 with an empty answer`,
  );
  const mine = await write('mine.jsonl', many);
  await expect(dialogueData([`alpaca:${mine}`], { ...options, origins: [] })).rejects.toThrow('give --licence');
  await expect(dialogueData([mine], options)).rejects.toThrow('is no layout; write LAYOUT:FILE with one of alpaca');
});
