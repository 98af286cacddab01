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

/** A thread that gets no time to compute. It is asked before each run and after its stop. */
function starved() {
  let asked = 0;
  const computed = () => {
    asked++;
    return 0;
  };
  return { computed, runsStopped: () => Math.floor(asked / 2) };
}

test('on a machine that gave it no time to compute, work begins again with twice as long', () => {
  const { computed, runsStopped } = starved();
  const work = () => (runsStopped() < 2 ? forever() : 'done');
  expect(withinTime(work, late, { limitMs: 20, mostMs: 100_000, computed })).toBe('done');
});

test('there is an end to beginning again', () => {
  const { computed, runsStopped } = starved();
  expect(() => withinTime(forever, late, { limitMs: 20, mostMs: 80, computed })).toThrow('too long');
  expect(runsStopped()).toBe(3);
});
