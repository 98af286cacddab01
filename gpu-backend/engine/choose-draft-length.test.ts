import { expect, test } from 'vitest';
import { type Candidate, chooseDraftLength } from './choose-draft-length.ts';

/** Runs of SmolLM2-135M on two cores: a fixed part, and a part for each token. */
const f32 = (tokens: number, than: number) => (1 + 0.07 * tokens) / (1 + 0.07 * than);
const int4 = (tokens: number, than: number) => (1 + 0.3 * tokens) / (1 + 0.3 * than);

const sure: Candidate = { length: 12, chance: 0.95 };
const even: Candidate = { length: 12, chance: 0.5 };
const unlikely: Candidate = { length: 12, chance: 0.05 };

test.each([
  ['no draft', [], 0],
  ['a draft that is hardly ever right', [unlikely], 0],
  ['a draft that is right half of the time', [even], 2],
  ['a draft that is nearly always right', [sure], 12],
  ['a short draft that is nearly always right', [{ ...sure, length: 2 }], 2],
])('in f32, one answer with %s', (_, candidates, length) => {
  expect(chooseDraftLength(candidates, { rows: 2, others: 1 - candidates.length, costRatio: f32 })).toBe(length);
});

test('in int4, the same drafts are read less far', () => {
  const lengths = [even, sure].map((one) => chooseDraftLength([one], { rows: 2, others: 0, costRatio: int4 }));
  expect(lengths[0]).toBeLessThan(2);
  expect(lengths[1]).toBeLessThan(12);
  expect(lengths[1]).toBeGreaterThan(2);
});

test('one answer with a good draft does not slow down seven others', () => {
  expect(chooseDraftLength([sure], { rows: 16, others: 7, costRatio: f32 })).toBe(0);
  expect(chooseDraftLength(Array(8).fill(sure), { rows: 16, others: 0, costRatio: f32 })).toBeGreaterThan(0);
});

test('the length is the one that draws the most tokens in the time of its run', () => {
  const candidates = [sure, even, { length: 5, chance: 0.7 }];
  const batch = { rows: 8, others: 1, costRatio: f32 };
  /** Token by token: how likely each one is drawn. */
  const pace = (length: number) => {
    let drawn = batch.others + candidates.length;
    for (const one of candidates) {
      for (let i = 1; i <= Math.min(one.length, length); i++) drawn += one.chance ** i;
    }
    return drawn / (1 + 0.07 * batch.rows * (length + 1));
  };
  const paces = Array.from({ length: 13 }, (_, length) => pace(length));
  const wanted = paces.indexOf(Math.max(...paces));
  expect(wanted).toBeGreaterThan(0);
  expect(chooseDraftLength(candidates, batch)).toBe(wanted);
});
