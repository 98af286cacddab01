import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { preferenceData } from '#training/stages/preference-data.ts';
import { EDITIONS } from './editions.ts';
import { generatePairs } from './generate.ts';
import { loadTopics } from './load-topics.ts';
import { heldOutDialogues, worldDialogues, worldPairs } from './training-data.ts';

beforeEach(() => void vi.spyOn(process.stderr, 'write').mockReturnValue(true));
afterEach(() => void vi.restoreAllMocks());

async function write(rows: readonly object[]): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-world-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const file = path.join(dir, 'rows.jsonl');
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

test('dialogues and pairs come from the requested edition', () => {
  const first = new Set(loadTopics({ edition: 'first' }).map(({ id }) => id));
  const beyond = loadTopics({ edition: 'whole' }).filter(({ id }) => !first.has(id));
  const facts = new Set(beyond.flatMap((topic) => topic.facts.flatMap(({ wordings }) => wordings)));
  const strangers = (texts: string[]) =>
    texts.flatMap((text) => text.split(/(?<=[.!?]) /)).filter((sentence) => facts.has(sentence)).length;
  for (const edition of EDITIONS) {
    const { train, heldOut } = worldPairs({ seed: 1, count: 200, edition });
    const told = [
      worldDialogues({ seed: 1, count: 200, edition }).map(({ messages }) => messages.at(-1)!.content),
      heldOutDialogues({ seed: 1, edition })['']!.map(({ messages }) => messages.at(-1)!.content),
      train.flatMap(({ responses }) => responses),
      heldOut.flatMap(({ responses }) => responses),
    ];
    for (const texts of told) expect(strangers(texts) > 0, edition).toBe(edition === 'whole');
  }
});

test('the model learns from every answer of a conversation', () => {
  const rows = worldDialogues({ seed: 1, count: 60, multiTurnShare: 1, jailbreakShare: 0.5 });
  expect(rows.every(({ learns, messages }) => learns === 'every-answer' && messages.length > 2)).toBe(true);
});

test('held-out dialogues are plain single turns, and shares add varied ones', () => {
  expect(Object.keys(heldOutDialogues({ seed: 1, jailbreakShare: 0 }))).toEqual(['']);
  const { '': plain, varied } = heldOutDialogues({ seed: 1, multiTurnShare: 0.5 });
  expect(plain).toEqual(heldOutDialogues({ seed: 1 })['']);
  expect(plain!.every(({ messages }) => messages.length === 2)).toBe(true);
  expect(varied!.some(({ messages }) => messages.length > 2)).toBe(true);
});

test('without pairs to train on, none are held out either', () => {
  expect(worldPairs({ seed: 1, count: 0 })).toEqual({ train: [], heldOut: [] });
  expect(worldPairs({ seed: 1, count: 50 }).heldOut).toHaveLength(600);
});

test('nothing leaks between the sides when there are frames and conversations', async () => {
  const generated = worldPairs({ seed: 1, count: 400, jailbreakShare: 0.3, multiTurnShare: 0.3 });
  const { train, heldOut } = await preferenceData({ generated, files: [], dimension: 'safer' });
  for (const rows of [train, heldOut]) {
    expect(rows.filter(({ prompt }) => prompt.length > 1).length / rows.length).toBeCloseTo(0.3, 1);
  }
});

test('pairs keep their flags when they are written and read back', async () => {
  const pairs = generatePairs({ seed: 1, split: 'train', count: 5 });
  const rows = await Array.fromAsync(PREFERENCE_LAYOUTS.plimsoll(await write(pairs)));
  expect(rows.map(({ safe, better }) => [...safe!, better])).toEqual(
    pairs.map(({ safe_0, safe_1, better }) => [safe_0, safe_1, better]),
  );
});
