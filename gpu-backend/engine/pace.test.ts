import { describe, expect, test } from 'vitest';
import { Pace } from './pace.ts';

function clock() {
  let seconds = 1000;
  return { pace: new Pace(() => seconds), pass: (s: number) => (seconds += s) };
}

describe('the pace of a queue', () => {
  test('is 0 at first', () => {
    expect(clock().pace.secondsEach).toBe(0);
  });

  test('counts the next departure as if it happened now', () => {
    const { pace, pass } = clock();
    pace.begin();
    pass(4);
    expect(pace.secondsEach).toBe(4);
    pace.step();
    expect(pace.secondsEach).toBe(2); // One gap of 4 s, and one so far of 0 s.
    pass(6);
    expect(pace.secondsEach).toBe(5);
  });

  test('gives each older gap 0.97 times the weight of the next', () => {
    const { pace, pass } = clock();
    const gaps = [3, 1, 4, 1, 5];
    pace.begin();
    for (const gap of gaps) {
      pass(gap);
      pace.step();
    }
    const weights = gaps.map((_, i) => 0.97 ** (gaps.length - 1 - i));
    const seconds = gaps.reduce((sum, gap, i) => sum + gap * weights[i]!, 0);
    const count = weights.reduce((sum, weight) => sum + weight, 0);
    expect(pace.secondsEach).toBeCloseTo(seconds / (count + 1), 12);
  });

  test('shares a gap among several departures at once', () => {
    const { pace, pass } = clock();
    pace.begin();
    pass(9);
    pace.step();
    pace.step();
    expect(pace.secondsEach).toBeCloseTo((9 * 0.97) / (1 + 0.97 + 1), 12);
  });

  test('ignores time when nobody waits, and starts one clock for all who wait', () => {
    const { pace, pass } = clock();
    pace.begin();
    pass(2);
    pace.begin();
    pass(2);
    pace.step();
    pace.rest();
    pass(3600);
    expect(pace.secondsEach).toBe(2);
    pace.begin();
    expect(pace.secondsEach).toBe(2);
  });
});
