import { expect, test } from 'vitest';
import {
  calibrationError,
  heldOutFigures,
  negativeLogSigmoid,
  preferenceFigures,
  shareAbove,
} from './preference-figures.ts';

test('accuracy counts ties as half, and the margin is the mean of beta times the log-ratio', () => {
  expect(preferenceFigures([2, -1, 0, 3], 0.5)).toEqual({ accuracy: 0.625, margin: 0.5 });
});

test('the held-out loss is the mean of -log sigma(beta * delta)', () => {
  const reference = new Map<number, [number, number]>([
    [0, [-3, -2]],
    [4, [-1, -1]],
  ]);
  const now = new Map<number, [number, number]>([
    [0, [-2, -4]],
    [4, [-1, -1]],
  ]);
  const sigma = (x: number) => 1 / (1 + Math.exp(-x));
  expect(heldOutFigures(now, { reference, beta: 0.5 })).toEqual({
    heldOutLoss: expect.closeTo((-Math.log(sigma(0.5 * 3)) - Math.log(sigma(0))) / 2, 12),
    heldOutAccuracy: 0.75,
    heldOutMargin: 0.75,
  });
});

test('-log sigma of large numbers neither overflows nor vanishes', () => {
  expect(negativeLogSigmoid(-800)).toBe(800);
  expect(negativeLogSigmoid(40)).toBeCloseTo(Math.exp(-40), 25);
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

test('a tie counts as a half', () => {
  expect(shareAbove([1, 0, -1, 0])).toBe(0.5);
  expect(shareAbove([0])).toBe(0.5);
  expect(shareAbove([2, 3, -1, 0])).toBe(0.625);
});
