import { beforeEach, expect, test } from 'vitest';
import { type Breaker, createBreaker } from './breaker.ts';

let nowMs: number;
let breaker: Breaker;
beforeEach(() => {
  nowMs = 0;
  breaker = createBreaker({ restMs: 1_000, now: () => nowMs });
});

test('a backend that failed is out for all requests, then one request at a time tries it', () => {
  expect(breaker.admit('a')).toBe(true);
  breaker.failed('a');
  expect([breaker.admit('a'), breaker.admit('a'), breaker.admit('b')]).toEqual([false, false, true]);
  nowMs = 1_000;
  expect([breaker.admit('a'), breaker.admit('a')]).toEqual([true, false]);
  breaker.answered('a');
  expect([breaker.admit('a'), breaker.admit('a')]).toEqual([true, true]);
});

test('a backend rests longer each time, up to a limit, and failures at the same time count as one', () => {
  const rests: number[] = [];
  for (let round = 0; round < 7; round++) {
    for (let request = 0; request < 5; request++) breaker.failed('a');
    const began = nowMs;
    while (!breaker.admit('a')) nowMs += 100;
    rests.push(nowMs - began);
  }
  expect(rests).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
});

test('a trial that never reports back does not keep a backend out', () => {
  breaker.failed('a');
  nowMs = 1_000;
  expect(breaker.admit('a')).toBe(true);
  nowMs = 40_000;
  expect(breaker.admit('a')).toBe(true);
});
