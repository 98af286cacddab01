import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTinyData } from '../smollm2/fixtures/tiny-recipe.ts';
import { splitOf } from '../split/split.ts';
import { type AnswerRow, answerRows } from './answer-rows.ts';

const MOST = { harmful: 1, others: { train: 12, dev: 5, test: 7 } };
let data: string;
let rows: AnswerRow[];
beforeAll(async () => {
  data = mkdtempSync(path.join(tmpdir(), 'answer-rows-'));
  writeTinyData(data);
  rows = await answerRows(data, { seed: 1, most: MOST, worldPairs: 40 });
});
afterAll(() => rmSync(data, { recursive: true }));

const groups = (keyOf: (row: AnswerRow) => string) => [...Map.groupBy(rows, keyOf).entries()];

test('answers are in the part of their prompt, behaviour or topic, and never in the judges’ part', () => {
  for (const { key, part } of rows) expect(splitOf(key)).toBe(part);
  expect(new Set(rows.map(({ part }) => part))).toEqual(new Set(['train', 'dev', 'test']));
});

test('there are at most so many of each side of a behaviour, and of each side of another set', () => {
  const behaviours = groups(({ set, key, safe }) => (set === 'harmful' ? `${key}/${safe}` : ''));
  for (const [name, own] of behaviours) if (name !== '') expect(own).toHaveLength(1);
  for (const [, own] of groups(({ set, part, safe }) => `${set}/${part}/${safe}`)) {
    const { set, part } = own[0]!;
    if (set !== 'harmful') expect(own.length).toBeLessThanOrEqual(MOST.others[part]);
  }
  expect(rows.filter(({ set, part }) => set === 'world' && part === 'train')).toHaveLength(24);
});

test('answers to ordinary prompts are safe, and both sides of the others are there', () => {
  const sides = groups(({ set, safe }) => `${set}/${safe}`).map(([name]) => name);
  expect(sides.sort()).toEqual(['harmful/false', 'harmful/true', 'ordinary/true', 'world/false', 'world/true']);
});

test('the same files give the same rows', async () => {
  expect(await answerRows(data, { seed: 1, most: MOST, worldPairs: 40 })).toEqual(rows);
});
