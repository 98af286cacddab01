import { expect, test } from 'vitest';
import { H200, keysAndValues, LLAMA_3_8B, multipliedWeights, rowsToComputeBound, stepOnPaper } from './on-paper.ts';

const on = { gpu: H200, model: LLAMA_3_8B };

test('counts the weights of Llama 3 8B: 8.03 billion with the embedding', () => {
  const { vocab, d, layers } = LLAMA_3_8B;
  const norms = (2 * layers + 1) * d;
  expect(multipliedWeights(LLAMA_3_8B) + vocab * d + norms).toBe(8_030_261_248);
});

test('a token has 128 KiB of keys and values in f16', () => {
  expect(2 * keysAndValues(LLAMA_3_8B)).toBe(128 * 1024);
});

test('one answer of two experts is bound by reading the weights once', () => {
  const two = stepOnPaper(on, { answers: 1, experts: 2, past: 1024 });
  expect(two.rows).toBe(2);
  expect(two.weightBytes).toBeCloseTo(15.0e9, -8);
  expect(two.keyBytes).toBe(2 * 1024 * 128 * 1024);
  expect(two.tokensPerSecond).toBeCloseTo(4.8e12 / (two.weightBytes + two.keyBytes), 3);
  const one = stepOnPaper(on, { answers: 1, experts: 1, past: 1024 });
  expect(one.tokensPerSecond / two.tokensPerSecond).toBeLessThan(1.01);
});

test('arithmetic overtakes reading the weights at some two hundred rows', () => {
  const rows = rowsToComputeBound(on);
  expect(rows).toBe(207);
  const time = (answers: number) => stepOnPaper(on, { answers, experts: 1, past: 0 });
  expect(time(rows).arithmetic).toBeGreaterThanOrEqual(time(rows).reading);
  expect(time(rows - 1).arithmetic).toBeLessThan(time(rows - 1).reading);
});

test('keys and values that the host keeps take longer over the bus than everything on the GPU', () => {
  for (const answers of [1, 8, 64]) {
    const { keysOverBus, reading, arithmetic } = stepOnPaper(on, { answers, experts: 2, past: 1024 });
    expect(keysOverBus).toBeGreaterThan(Math.max(reading, arithmetic));
  }
});
