import { expect, test } from 'vitest';
import type { ChatEncoder } from './encode-chat.ts';
import { encodePairs } from './encode-pairs.ts';
import type { Preference } from './rows.ts';
import { noSkips } from './skips.ts';

/** Makes one token per letter, after a prompt of two tokens. */
const letters = {
  tokenizer: { encode: (text: string) => [...text].map((letter) => letter.charCodeAt(0)) },
  renderChat: () => [1, 2],
  eosId: 0,
};
// Of the tokenizer, the encoder only calls `encode`.
const encoder = letters as unknown as ChatEncoder;
const pair = (responses: [string, string], changes: Partial<Preference> = {}): Preference => ({
  prompt: [{ role: 'user', content: '?' }],
  responses,
  better: 1,
  safer: null,
  source: 'test',
  ...changes,
});

test('the winner becomes the chosen answer, and its safety label goes with it', () => {
  const { pairs } = encodePairs([pair(['ab', 'cd'], { safe: [false, true] })], encoder, { dimension: 'better' });
  expect([...pairs[0]!.chosen.ids]).toEqual([1, 2, 99, 100, 0]);
  expect(pairs[0]!.safe).toEqual([true, false]);
});

test('ties and equal answers are skipped and counted', () => {
  const { pairs, skipped } = encodePairs([pair(['a', 'b'], { better: null }), pair(['a', 'a '])], encoder, {
    dimension: 'better',
  });
  expect(pairs).toEqual([]);
  expect(skipped).toEqual({ ...noSkips(), noVerdict: 1, equalAnswers: 1 });
});

test('can leave out the first token in which the answers differ, and no other', () => {
  const options = { dimension: 'better' as const, dropFirstDifference: true };
  const { pairs } = encodePairs([pair(['xay', 'xbz'])], encoder, options);
  // The ids are 1 2 x a y 0, and the weights are for predicting 2, x, a, y and the end.
  for (const row of [pairs[0]!.chosen, pairs[0]!.rejected]) expect([...row.weights]).toEqual([0, 1, 0, 1, 1]);
});
