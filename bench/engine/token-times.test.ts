import { expect, test } from 'vitest';
import { gapsOf, msPerStep, tokensPerSecond } from './token-times.ts';

/** A token every `ms` milliseconds. */
const stream = (ms: number, { from = 0, count = 20 } = {}) => Array.from({ length: count }, (_, i) => from + i * ms);

test('one stream: the time from its first token to its last, by the number of steps', () => {
  expect(msPerStep([stream(5)])).toBeCloseTo(5);
  expect(tokensPerSecond([stream(5)])).toBeCloseTo(200);
});

test('only counts the time in which all streams run', () => {
  const late = stream(10, { from: 100, count: 12 });
  const early = [...stream(2, { count: 50 }), ...stream(10, { from: 100, count: 40 })];
  expect(msPerStep([late, early])).toBeCloseTo(10);
  expect(tokensPerSecond([late, early])).toBeCloseTo(200);
});

test('refuses streams that hardly ran together', () => {
  expect(() => msPerStep([stream(5), stream(5, { from: 90 })])).toThrow('wanted at least 8');
  expect(() => msPerStep([stream(5), []])).toThrow('wanted at least 8');
});

test('gaps are the times from token to token', () => {
  expect(gapsOf([1, 3, 9])).toEqual([2, 6]);
});
