import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { logSoftmax } from '#shared/gate/index.ts';
import { pairRows } from '#shared/gate/pair-rows.ts';
import { ownRow, RowError } from './own-row.ts';
import type { IdLogprob } from './remote-engine.ts';

const SIZE = 12;
const given = fc.record({
  logits: fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: SIZE, maxLength: SIZE }),
  topK: fc.integer({ min: 1, max: SIZE + 3 }),
  more: fc.nat({ max: 3 }),
  shuffle: fc.infiniteStream(fc.nat()),
});

test('is the k likeliest tokens, in whatever order and however many more an engine tells', () => {
  fc.assert(
    fc.property(given, ({ logits, topK, more, shuffle }) => {
      const whole = logSoftmax(Float32Array.from(logits))!;
      const ranked = Array.from(whole, (lp, id): IdLogprob => [id, lp]).sort(
        ([a, lpA], [b, lpB]) => lpB - lpA || a - b,
      );
      const told = ranked.slice(0, topK + more);
      const order = new Map(told.map(([id]) => [id, shuffle.next().value!]));
      const row = ownRow(
        told.toSorted(([a], [b]) => order.get(a)! - order.get(b)!),
        { topK, vocabSize: SIZE },
      );
      const wanted = ranked.slice(0, topK).sort(([a], [b]) => a - b);
      expect([...row.ids]).toEqual(wanted.map(([id]) => id));
      expect([...row.logprobs]).toEqual(wanted.map(([, lp]) => lp));
      const outside = ranked.slice(topK).reduce((sum, [, lp]) => sum + Math.exp(lp), 0);
      expect(row.left).toBeCloseTo(outside, 9);
    }),
  );
});

test.each([SIZE, 49_152])('takes a row of %i equal tokens in bfloat16', (vocabSize) => {
  const flat = Array.from({ length: 10 }, (_, id): IdLogprob => [id, bfloat16(-Math.log(vocabSize), Math.trunc)]);
  expect(ownRow(flat, { topK: 10, vocabSize }).left).toBeCloseTo(1 - 10 / vocabSize, 1);
});

test.each([Math.trunc, Math.round, Math.floor])('takes a row of two likely tokens in bfloat16, by %o', (round) => {
  const vocabSize = 49_152;
  const unlikely = Array.from({ length: 17 }, (_, i) => Math.exp(-20 - i));
  const exact = [0.4979, 0.4979, 0.0042, ...unlikely].map((p, id): IdLogprob => [id, Math.log(p)]);
  const rounded = exact.map(([id, lp]): IdLogprob => [id, bfloat16(lp, round)]);
  for (const told of [exact, rounded]) {
    const row = ownRow(told, { topK: 20, vocabSize });
    expect(row.left).toBeLessThan(0.01);
    // The gate takes it, too.
    expect(pairRows(row, row, { topK: 20 }).ids).toHaveLength(20);
  }
});

test.each([Math.trunc, Math.floor])('takes all tokens that there are in bfloat16, by %o', (round) => {
  const told = Array.from({ length: 10 }, (_, id): IdLogprob => [id, bfloat16(-Math.log(10), round)]);
  for (const topK of [10, 20]) {
    const row = ownRow(told, { topK, vocabSize: 10 });
    expect(row.left).toBe(0);
    expect(row.logprobs[0]).toBeCloseTo(-Math.log(10), 12);
    expect(pairRows(row, row, { topK }).ids).toHaveLength(10);
  }
});

/** 8 significant bits. Engines round to the nearest such number, or cut off what is below it. */
function bfloat16(value: number, round: (value: number) => number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7);
  return round(value / step) * step;
}

const HALF = Math.log(0.5);
test.each<[string, IdLogprob[], RegExp]>([
  [
    'an id beyond the vocabulary',
    [
      [0, HALF],
      [SIZE, HALF],
    ],
    /token 12, but the vocabulary has the ids 0 to 11/,
  ],
  [
    'an id that is no number of a token',
    [
      [0, HALF],
      [-1, HALF],
    ],
    /token -1/,
  ],
  [
    'an id twice',
    [
      [3, HALF],
      [3, HALF],
    ],
    /token 3 twice/,
  ],
  [
    'NaN',
    [
      [0, HALF],
      [1, Number.NaN],
    ],
    /token 1 the log-probability NaN/,
  ],
  [
    'a log-probability above 0',
    [
      [0, 0.5],
      [1, HALF],
    ],
    /token 0 the log-probability 0\.5/,
  ],
  ['too few tokens', [[0, HALF]], /1 tokens in place of 2/],
  [
    'more than everything',
    [
      [0, -0.1],
      [1, -0.1],
    ],
    /sum to 1\.8/,
  ],
  [
    'nothing likely',
    [
      [0, -Infinity],
      [1, -Infinity],
    ],
    /every token the probability 0/,
  ],
  [
    'logits in the place of log-probabilities',
    [
      [0, -20],
      [1, -21],
    ],
    /leaves 0\.999999\S* to 10 tokens, each of them at most as likely as \S+e-10/,
  ],
  [
    'less than everything',
    [
      [0, -0.1],
      [1, -20],
    ],
    /leaves 0\.09/,
  ],
])('refuses %s', (_, told, message) => {
  const read = () => ownRow(told, { topK: 2, vocabSize: SIZE });
  expect(read).toThrow(RowError);
  expect(read).toThrow(message);
});
