import { expect, test } from 'vitest';
import { RestartLimit } from './restart-limit.ts';

/** `ran`: how long each thread served before it died, in seconds; null if it was never loaded. */
function waits(ran: readonly (number | null)[]): (number | null)[] {
  let now = 0;
  const limit = new RestartLimit({ now: () => now });
  return ran.map((seconds) => {
    if (seconds !== null) limit.began();
    now += 1000 * (seconds ?? 100);
    return limit.died();
  });
}

test('waits longer for each thread that dies in a row, and gives up at the fourth', () => {
  expect(waits([1, 59, 0, 3])).toEqual([250, 500, 1000, null]);
});

test('starts over once a thread has served for a minute', () => {
  expect(waits([1, 1, 1, 60, 1])).toEqual([250, 500, 1000, 250, 500]);
});

test('does not take the time that loading takes for service', () => {
  expect(waits([1, null, null, null])).toEqual([250, 500, 1000, null]);
});
