import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runSummary } from './run-summary.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-summary-'));
});
afterEach(() => rm(dir, { recursive: true }));

const metrics = (rows: object[]) =>
  writeFile(path.join(dir, 'metrics.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
const steps = (step: number) => ({ step, loss: 1, tokens: 1000 * step, seconds: 40 * step });

test('tells the best evaluation, the last one, and which weights later stages get', async () => {
  const evaluations = [
    { step: 2, heldOutLoss: 0.6, heldOutAccuracy: 0.7 },
    { step: 4, heldOutLoss: 0.5, heldOutAccuracy: 0.8125 },
    { step: 6, heldOutLoss: 0.55, heldOutAccuracy: 0.8 },
  ];
  await metrics([steps(2), evaluations[0]!, steps(4), evaluations[1]!, steps(6), evaluations[2]!]);
  expect(await runSummary(dir)).toEqual([
    `${dir}: 6 steps, 6,000 tokens in 4m00s`,
    'best on held-out rows: loss 0.5000, 81.3 % ordered right (step 4)',
    'at the end: loss 0.5500, 80.0 % ordered right (step 6)',
    'later stages use the weights of step 6',
  ]);
  await mkdir(path.join(dir, 'best-000004'));
  expect((await runSummary(dir)).at(-1)).toBe('later stages use the weights of step 4');
});

test('says the last evaluation once if it is the best one', async () => {
  await metrics([steps(2), { step: 2, heldOutLoss: 0.6 }]);
  expect(await runSummary(dir)).toHaveLength(3);
});

test('throws for a run without a step', async () => {
  await metrics([]);
  await expect(runSummary(dir)).rejects.toThrow('has made no step yet');
});
