import { expect, test } from 'vitest';
import { judgedOtherwise } from './judged-for.ts';
import type { Dimension } from './preferences.ts';
import type { Preference } from './rows.ts';

const pairs = (chosen: string, rejected: string, source = 'mine'): Preference[] =>
  Array.from({ length: 10 }, () => ({
    prompt: [{ role: 'user', content: '?' }],
    responses: [chosen, rejected],
    better: 0,
    safer: null,
    source,
  }));
const warned = (
  dimension: Dimension,
  rows: Preference[],
  { file = 'rows.jsonl', judged = [] as string[] } = {},
): boolean => judgedOtherwise(rows, { dimension, file, judged }) !== null;

test('pairs judged for harmlessness are noticed when helpfulness is learned: by name, by row, by refusals', () => {
  const plain = pairs('Yes.', 'No.');
  expect(warned('better', plain, { file: 'harmless-base/train.jsonl' })).toBe(true);
  expect(warned('better', plain, { judged: ['harmless'] })).toBe(true);
  expect(warned('better', pairs("I'm sorry, but no.", 'Take a knife.'))).toBe(true);
  expect(warned('better', pairs('I can\u2019t help with that.', 'Sure.'))).toBe(true);
});

test('pairs judged for helpfulness are noticed when safety is learned', () => {
  expect(warned('safer', pairs('Yes.', 'No.'), { file: 'helpful-base/train.jsonl' })).toBe(true);
});

test('pairs for what they were judged for are not', () => {
  expect(warned('safer', pairs("I'm sorry, but no.", 'Sure.'), { judged: ['harmless'] })).toBe(false);
  expect(warned('better', pairs('Sure.', "I'm sorry, but no."))).toBe(false);
  expect(warned('better', pairs('Yes.', 'No.'), { file: 'helpful-base/train.jsonl' })).toBe(false);
  // A file of both kinds names both.
  expect(warned('better', pairs('Yes.', 'No.'), { file: 'helpful-and-harmless.jsonl' })).toBe(false);
  expect(warned('better', pairs("I'm sorry.", "I'm sorry, but no."))).toBe(false);
});

test('the warning says why', () => {
  expect(
    judgedOtherwise(pairs("I'm sorry, but no.", 'Sure.'), { dimension: 'better', file: 'rows.jsonl', judged: [] }),
  ).toBe(
    'rows.jsonl: warning: these pairs seem to be judged for harmlessness (100 % of the chosen answers begin like a refusal, of the rejected ones 0 %), and here they count for helpfulness',
  );
});
