import { describe, expect, test } from 'vitest';
import { assertExtendable, type Pace, paceSettings, rateWarning, scheduleBefore, scheduleOf } from './extent.ts';

const pacing = { perEpoch: 10, warmup: (steps: number) => Math.ceil(steps * 0.1) };
const stepsOf = (pace: Partial<Pace>) => scheduleOf({ learningRate: 1e-3, epochs: 1, ...pace }, pacing).totalSteps;

test('epochs may be fractions, and the most steps cut them short', () => {
  expect(stepsOf({ epochs: 3 })).toBe(30);
  expect(stepsOf({ epochs: 0.25 })).toBe(3);
  expect(stepsOf({ epochs: 0.001 })).toBe(1);
  expect(stepsOf({ epochs: 3, maxSteps: 7 })).toBe(7);
  expect(stepsOf({ epochs: 0, steps: 12 })).toBe(12);
  expect(stepsOf({ epochs: 3, accumulate: 4 })).toBe(8);
});

test('settings that are not used are left out', () => {
  const plain = { learningRate: 1, epochs: 2 };
  expect(paceSettings({ ...plain, maxSteps: 0, accumulate: 1, schedule: 'cosine', warmupSteps: 0 })).toEqual(plain);
  const all = { ...plain, maxSteps: 3, accumulate: 2, schedule: 'constant', warmupSteps: 4 } as const;
  expect(paceSettings(all)).toEqual(all);
});

describe('a run of two epochs that becomes one of three', () => {
  const longer = (pace: Partial<Pace>, step: number) => {
    const now = { learningRate: 1e-3, epochs: 3, ...pace };
    const before = scheduleBefore(paceSettings({ ...now, epochs: 2 }), now, pacing);
    return () => assertExtendable('runs/x', { step }, { before, now: scheduleOf(now, pacing) });
  };
  const constant = { schedule: 'constant', warmupSteps: 4 } as const;

  test('goes on if its rate is constant after a warm-up of its own', () => {
    expect(longer(constant, 20)).not.toThrow();
  });

  test.each([
    ['is on a cosine', {}],
    ['has a warm-up that depends on its length', { schedule: 'constant' as const }],
  ])('is refused if it %s, with what would have been different', (_, pace) => {
    expect(longer(pace, 20)).toThrow(
      /^runs\/x was begun as a run of 20 steps and cannot become one of 30: the learning rate of step 1 would have been 0\.000333, not 0\.000500\./,
    );
    expect(longer(pace, 0)).not.toThrow();
  });

  test('cannot become shorter than it is', () => {
    expect(longer({ ...constant, maxSteps: 5 }, 20)).toThrow(
      'runs/x has made 20 steps already, and 5 are wanted now: give at least as many, or train anew',
    );
  });
});

test('a learning rate that is a slip is told', () => {
  expect(rateWarning(1000)).toBe('the learning rate 1000 is far above the usual (up to 0.03): expect babble or NaN');
  expect(rateWarning(1e-9)).toContain('far below the usual');
  expect(rateWarning(1e-3)).toBeNull();
});
