import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openingTurn, promptKey } from '../data/prompt-key.ts';
import type { Preference } from '../data/rows.ts';
import { pairs } from '../testing/small-talk.ts';
import { preferenceData } from './preference-data.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pairs-'));
});
afterAll(() => rm(dir, { recursive: true }));
beforeEach(() => void vi.spyOn(process.stderr, 'write').mockReturnValue(true));
afterEach(() => void vi.restoreAllMocks());

let files = 0;
async function write(rows: readonly object[]): Promise<string> {
  const file = path.join(dir, `${files++}.jsonl`);
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}
const pku = (prompt: string, i: number) => ({
  prompt,
  response_0: `a${i}`,
  response_1: `b${i}`,
  better_response_id: 0,
  safer_response_id: 1,
});
/** Four pairs on each of 100 prompts. */
const manyPairs = Array.from({ length: 400 }, (_, i) => pku(`question ${i % 100}`, i));
const options = { dimension: 'safer' as const };

describe('files', () => {
  test('are split by prompt, the same way in every run', async () => {
    const name = `pku-saferlhf:${await write(manyPairs)}`;
    const { train, heldOut } = await preferenceData({ ...options, files: [name], heldOutShare: 0.2 });
    const keys = (rows: typeof train) => new Set(rows.map(({ prompt }) => promptKey(openingTurn(prompt))));
    expect([...keys(train)].filter((key) => keys(heldOut).has(key))).toEqual([]);
    expect(train.length + heldOut.length).toBe(400);
    expect(heldOut.length % 4).toBe(0);
    expect(heldOut.length).toBeGreaterThan(0);
    const again = await preferenceData({
      ...options,
      generated: { train: pairs(3), heldOut: [] },
      files: [name],
      heldOutShare: 0.2,
    });
    expect(again.heldOut).toEqual(heldOut);
    expect(process.stderr.write).toHaveBeenCalledWith(
      `${name}: 400 pairs on 100 prompts: ${train.length} to train on, ${heldOut.length} held out; left out: none\n`,
    );
  });

  test('that share a prompt keep it on one side', async () => {
    const names = [`pku-saferlhf:${await write(manyPairs)}`, `pku-saferlhf:${await write(manyPairs.slice(0, 100))}`];
    const { heldOut } = await preferenceData({ ...options, files: names, heldOutShare: 0.2 });
    expect(heldOut.length % 5).toBe(0);
  });

  test('are added to the generated pairs, which keep their own split', async () => {
    const name = `pku-saferlhf:${await write(manyPairs)}`;
    const generated = { train: pairs(50), heldOut: pairs(20, 'held out').filter(unseenIn(pairs(50))) };
    const { train, heldOut } = await preferenceData({ ...options, generated, files: [name] });
    const made = (rows: typeof train) => rows.filter(({ source }) => source === 'small talk').length;
    expect([made(train), made(heldOut)]).toEqual([50, generated.heldOut.length]);
    expect(train.length + heldOut.length).toBe(400 + 50 + generated.heldOut.length);
  });

  test('that train on a prompt held out elsewhere cause an error that names the prompt', async () => {
    const [row] = pairs(1, 'held out');
    const text = row!.prompt[0]!.content;
    const name = `pku-saferlhf:${await write([pku(text, 0)])}`;
    const all = preferenceData({
      ...options,
      generated: { train: [], heldOut: [row!] },
      files: [name],
      heldOutShare: 0,
    });
    await expect(all).rejects.toThrow(`leak: "${text}" is in train (PKU-SafeRLHF) and held-out (small talk)`);
  });
});

const unseenIn = (seen: readonly Preference[]) => {
  const prompts = new Set(seen.map(({ prompt }) => prompt[0]!.content));
  return ({ prompt }: Preference) => !prompts.has(prompt[0]!.content);
};

describe('where rows are from', () => {
  const row = { prompt: 'p', response_0: 'a', response_1: 'b', better: 0, safer: 1 };

  test('is filled in as the user says, and asked for if nobody says', async () => {
    const file = await write([row, { ...row, prompt: 'q', source: 'PKU-SafeRLHF' }]);
    const read = { ...options, files: [`plimsoll:${file}`], heldOutShare: 0 };
    const { train } = await preferenceData({ ...read, origins: [{ licence: 'LicenseRef-own' }] });
    expect(train.map(({ source, licence }) => [source, licence])).toEqual([
      [path.basename(file), 'LicenseRef-own'],
      ['PKU-SafeRLHF', 'CC-BY-NC-4.0'],
    ]);
    await expect(preferenceData({ ...read, origins: [{}] })).rejects.toThrow(`${file}: the licence of its rows`);
  });

  test('does not change the digest of the rows', async () => {
    const name = `plimsoll:${await write([row])}`;
    const digest = async (licence: string) =>
      (await preferenceData({ ...options, files: [name], heldOutShare: 0, origins: [{ licence }] })).fileRows[name];
    expect(await digest('MIT')).toBe(await digest('CC0-1.0'));
  });

  test('a helpfulness expert on harmlessness data is warned of', async () => {
    const user = { role: 'user', content: 'q' };
    const file = await write([{ messages: [user], chosen: 'a', rejected: 'b', preference: 'harmless' }]);
    await preferenceData({ dimension: 'better', files: [`hh-messages:${file}`], heldOutShare: 0 });
    expect(process.stderr.write).toHaveBeenCalledWith(
      `${file}: warning: these pairs seem to be judged for harmlessness (by its name or its rows), and here they count for helpfulness\n`,
    );
  });
});

describe('is an error', () => {
  test.each([
    ['a layout that does not exist', 'pku:x.jsonl', /"pku" is no layout; write LAYOUT:FILE with one of plimsoll/],
    ['no layout', 'x.jsonl', /"" is no layout/],
  ])('%s', async (_, name, message) => {
    await expect(preferenceData({ ...options, files: [name] })).rejects.toThrow(message);
  });

  test('no pairs at all', async () => {
    await expect(preferenceData({ ...options, files: [] })).rejects.toThrow('there are no pairs to train on');
  });

  test('a file without a pair, and says what was left out', async () => {
    const row = { prompt: 'p', response: 'a', category: {}, is_safe: true };
    const file = await write([row, { ...row, response: 'b' }]);
    await expect(preferenceData({ ...options, files: [`beavertails:${file}`] })).rejects.toThrow(
      `${file}: there is no pair in it; left out: 2 answers without one of the other label`,
    );
  });

  test('a file that judged the other dimension', async () => {
    const row = { prompt: 'p', response_0: 'a', response_1: 'b', better: 1, safer: null };
    const file = await write([row]);
    await expect(preferenceData({ ...options, files: [`plimsoll:${file}`] })).rejects.toThrow(
      `${file}: none of its 1 pairs says which answer is the safer one`,
    );
  });
});
