import { expect, test } from 'vitest';
import { TINY } from '../testing/tiny-model.ts';
import { kernelShapes } from './base-model.ts';
import { heldOutLoss } from './held-out-loss.ts';

/** Measures rows of these lengths, with a context of 16 tokens. */
const lossOn = (lengths: number[]) =>
  heldOutLoss(
    lengths.map((length) => ({ ids: new Uint32Array(length).fill(7), weights: new Float32Array(length - 1).fill(1) })),
    { config: TINY, shapes: kernelShapes(TINY), tokenizer: { padId: 0 }, threads: 1 },
  );

test('leaves rows longer than the context out of the loss, and counts them', () => {
  expect(lossOn([10, 18, 17, 40]).skipped).toBe(2);
});

test('throws if no row is left to measure', () => {
  expect(() => lossOn([18, 40])).toThrow('no dialogue is held out; left out: 2 longer than the context (16)');
});
