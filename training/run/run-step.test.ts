import { expect, test } from 'vitest';
import { float32 } from '#gpu-backend/graph/session.ts';
import { runStep, type StepBatch } from './run-step.ts';

/** Batches of (x - t)^2 over different numbers of targets. */
const TARGETS = [[1], [2, 3, 5], [8, 13]];
const x = 4;
const parameters = new Map([['x', { shape: [1], data: Float32Array.of(x) }]]);
const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

const batchAt = (number: number): StepBatch => {
  const targets = TARGETS[number - 1]!;
  return {
    feeds: { targets: float32([targets.length], Float32Array.from(targets)) },
    tokens: 10 * targets.length,
    weight: targets.length,
    label: `batch ${number}`,
    run: async () => ({
      loss: Float32Array.of(mean(targets.map((t) => (x - t) ** 2))),
      'grad.x': Float32Array.of(mean(targets.map((t) => 2 * (x - t)))),
    }),
  };
};
const step = (numbers: number[], seen = new Set<string>()) =>
  runStep(numbers, {
    batchAt,
    parameters,
    figures: ({ loss }) => ({ twice: 2 * loss![0]! }),
    seen,
    check: () => {},
  });

test('of a loss that is a mean over rows, several batches give the loss and gradient of one batch with all rows', async () => {
  const all = TARGETS.flat();
  const { loss, gradients, figures, tokens, label } = await step([1, 2, 3]);
  expect(loss).toBeCloseTo(mean(all.map((t) => (x - t) ** 2)), 5);
  expect(gradients.get('x')![0]).toBeCloseTo(mean(all.map((t) => 2 * (x - t))), 5);
  expect(figures.twice).toBeCloseTo(2 * loss, 5);
  expect([tokens, label]).toEqual([60, 'batch 1; batch 2; batch 3']);
});

test('a single batch is not rounded again', async () => {
  const { loss, gradients } = await step([2]);
  const outputs = await batchAt(2).run({});
  expect(loss).toBe(outputs.loss![0]);
  expect(gradients.get('x')).toEqual(outputs['grad.x']);
});

test('a step is warm once all its shapes have run', async () => {
  const seen = new Set<string>();
  expect((await step([1], seen)).warm).toBe(false);
  expect((await step([1, 2], seen)).warm).toBe(false);
  expect((await step([2, 1], seen)).warm).toBe(true);
});
