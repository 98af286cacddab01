import { expect, test } from 'vitest';
import { withinTime } from './within-time.ts';

const late = () => new Error('too long');
const forever = (): never => {
  for (;;);
};

test('a result and an error of the work itself come through', () => {
  expect(withinTime(() => 7, late)).toBe(7);
  expect(() => withinTime(() => JSON.parse('{'), late)).toThrow(SyntaxError);
});

test('work that computes for too long is stopped', () => {
  expect(() =>
    withinTime(forever, late, { limitMs: 20, mostMs: 10_000, computed: performance.now.bind(performance) }),
  ).toThrow('too long');
});

test('on a machine that gave it no time to compute, work begins again with twice as long', () => {
  let runs = 0;
  const work = () => (++runs < 3 ? forever() : runs);
  expect(withinTime(work, late, { limitMs: 20, mostMs: 10_000, computed: () => 0 })).toBe(3);
});

test('there is an end to beginning again', () => {
  let runs = 0;
  const work = () => {
    runs++;
    return forever();
  };
  expect(() => withinTime(work, late, { limitMs: 20, mostMs: 80, computed: () => 0 })).toThrow('too long');
  expect(runs).toBe(3);
});
