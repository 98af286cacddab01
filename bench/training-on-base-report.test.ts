import { expect, test } from 'vitest';
import type { OnBaseFigures } from './training-on-base-job.ts';
import { onBaseReport } from './training-on-base-report.ts';

/** Two buckets of 100 and 50 GFLOP on a machine whose faster product does 200 GFLOP/s. */
function figures({ seconds, grew }: { seconds: number[]; grew: number }): OnBaseFigures {
  return {
    resident: { session: 1e9, step: 1.5e9 },
    peak: 2e9,
    buckets: [
      { bucket: { rows: 2, length: 256 }, flops: 100e9, grew: 0.5e9, seconds },
      { bucket: { rows: 4, length: 64 }, flops: 50e9, grew, seconds: seconds.map((time) => time / 2) },
    ],
    scoring: null,
    peaks: [
      { name: 'slow', flopsPerSecond: seconds.map(() => 100e9) },
      { name: 'fast', flopsPerSecond: seconds.map(() => 200e9) },
    ],
  };
}

const one = figures({ seconds: [1, 0.5, 2], grew: 0.02e9 });
const each = figures({ seconds: [1, 1, 1], grew: 1e9 });
const { lines, summary } = onBaseReport({ one: { ...one, scoring: [0.25, 0.5, 0.75] }, each });

test('a share of the peak is against the faster product, as the median of the rounds', () => {
  // 100 GFLOP in 1, 0.5 and 2 s are 0.5, 1 and 0.25 of 200 GFLOP/s.
  expect(summary['training on SmolLM2-135M, one session for all buckets: 2 x 256 / GEMM peak']).toBe(0.5);
  expect(lines).toContain('      0.500 of the peak   raw 0.50 1.00 0.25');
});

test('tokens a second count rows and lengths', () => {
  expect(summary['training on SmolLM2-135M, one session for all buckets: 4 x 64 (tokens/s)']).toBe(512);
});

test('both ways show what a further bucket and the whole take', () => {
  expect(summary['training on SmolLM2-135M, one session for all buckets: a further bucket (GB)']).toBe(0.02);
  expect(summary['training on SmolLM2-135M, a session for each bucket: a further bucket (GB)']).toBe(1);
  expect(summary['training on SmolLM2-135M, a session for each bucket: peak memory (GB)']).toBe(2);
});

test('the two ways are compared where both have the bucket', () => {
  const third = { bucket: { rows: 2, length: 32 }, flops: 10e9, grew: 0, seconds: [1, 1, 1] };
  const { summary: found } = onBaseReport({ one: { ...one, buckets: [...one.buckets, third] }, each });
  expect(Object.entries(found).filter(([name]) => name.includes('one session / one for each'))).toEqual([
    ['training on SmolLM2-135M: 2 x 256, share of the peak, one session / one for each', 1],
    ['training on SmolLM2-135M: 4 x 64, share of the peak, one session / one for each', 1],
  ]);
});

test('scoring is shown only where a session scores', () => {
  expect(lines.filter((line) => line.includes('scoring'))).toEqual([
    '    scoring the first: median 0.500 s   raw 0.25 0.50 0.75',
  ]);
});
