/** The bound, with a clock that the test moves. */
import { expect, test } from 'vitest';
import { createRateBound } from './rate-bound.ts';

test('there is room for so many a period, for each name', () => {
  let time = 1_000;
  const bound = createRateBound({ most: 2, periodMs: 100, now: () => time });
  expect([bound.take('a'), bound.take('a'), bound.take('b')]).toEqual([null, null, null]);
  time += 40;
  expect([bound.take('a'), bound.take('b')]).toEqual([60, null]);
  expect([bound.wait('a'), bound.wait('b')]).toEqual([60, 60]);
  time += 60;
  expect([bound.wait('a'), bound.take('a'), bound.take('a'), bound.take('a')]).toEqual([null, null, null, 100]);
});

test('what is given back can be taken again, in its own period', () => {
  let time = 1_000;
  const bound = createRateBound({ most: 1, periodMs: 100, now: () => time });
  expect([bound.take('a'), bound.take('a')]).toEqual([null, 100]);
  bound.giveBack('a');
  expect([bound.take('a'), bound.take('a')]).toEqual([null, 100]);
  time += 100;
  bound.giveBack('a');
  expect([bound.take('a'), bound.take('a')]).toEqual([null, 100]);
});

test('a clock that is set back locks nobody out for longer', () => {
  let time = 1_000_000;
  const bound = createRateBound({ most: 1, periodMs: 100, now: () => time });
  bound.take('a');
  time = 1_000;
  expect(bound.take('a')).toBeNull();
});
