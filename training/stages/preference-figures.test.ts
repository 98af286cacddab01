import { expect, test } from 'vitest';
import { calibrationError, preferenceFigures } from './preference-figures.ts';

test('accuracy counts ties as half, and the margin is the mean of beta times the log-ratio', () => {
  expect(preferenceFigures([2, -1, 0, 3], 0.5)).toEqual({ accuracy: 0.625, margin: 0.5 });
});

test('a confidence that is right as often as it claims has no calibration error', () => {
  const predictions = Array.from({ length: 100 }, (_, i) => ({ probability: 0.75, right: i < 75 }));
  expect(calibrationError(predictions)).toBeCloseTo(0, 12);
});

test('the calibration error is the mean gap between confidence and accuracy, weighted by the size of the bins', () => {
  const sure = Array.from({ length: 30 }, (_, i) => ({ probability: 0.95, right: i < 15 }));
  const unsure = Array.from({ length: 10 }, (_, i) => ({ probability: 0.55, right: i < 5 }));
  expect(calibrationError([...sure, ...unsure])).toBeCloseTo((30 * 0.45 + 10 * 0.05) / 40, 12);
  expect(calibrationError([{ probability: 1, right: true }])).toBe(0);
});
