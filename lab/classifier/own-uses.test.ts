import { beforeAll, expect, test } from 'vitest';
import { loadContrastCheck } from './own-files.ts';
import { ownUses } from './own-uses.ts';
import type { Question } from './question.ts';

let uses: Question[];
beforeAll(() => {
  uses = ownUses({ seed: 1 });
});

test('every split has both sides, and no text occurs twice', () => {
  for (const split of ['train', 'calibration', 'heldout'] as const) {
    const rows = uses.filter((each) => each.split === split);
    expect(rows.filter(({ label }) => label === null).length, split).toBeGreaterThan(10);
    expect(rows.filter(({ label }) => label !== null).length, split).toBeGreaterThan(10);
  }
  expect(new Set(uses.map(({ text }) => text)).size).toBe(uses.length);
  expect(uses.every(({ text }) => !text.includes('{}'))).toBe(true);
});

test('gives the same questions for the same seed', () => {
  expect(ownUses({ seed: 1 })).toEqual(uses);
  expect(ownUses({ seed: 2 })).not.toEqual(uses);
});

test('teaches no prompt from the check file', () => {
  const words = (text: string) => text.toLowerCase().match(/[a-z']+/g) ?? [];
  const taught = new Set(uses.map(({ text }) => words(text).join(' ')));
  for (const { pairs } of loadContrastCheck())
    for (const { safe, unsafe } of pairs)
      for (const text of [safe, unsafe]) expect(taught.has(words(text).join(' ')), text).toBe(false);
});
