import { expect, test } from 'vitest';
import { timeLeft } from './progress-bar.ts';

test.each([
  [0.4, '1s'],
  [9, '9s'],
  [12, '10s'],
  [57, '55s'],
  [58, '1m0s'],
  [119, '2m0s'],
  [125, '2m5s'],
  [238, '4m0s'],
  [599, '10m'],
  [1685, '28m'],
  [3590, '1h0m'],
  [3900, '1h5m'],
  [7199, '2h0m'],
])('%d seconds are %s', (seconds, words) => expect(timeLeft(seconds)).toBe(`, ${words} left`));

test.each([0, Number.POSITIVE_INFINITY, Number.NaN, 'INF', 'NULL'])('%s is no estimate', (none) => {
  expect(timeLeft(none)).toBe('');
});
