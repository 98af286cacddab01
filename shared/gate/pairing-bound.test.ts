import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { RULES } from '../line/line.ts';
import { logSoftmax } from './log-softmax.ts';
import { type OwnRow, pairRows } from './pair-rows.ts';
import { pairingBound } from './pairing-bound.ts';
import * as oracle from './testing/oracle.ts';

const V = 9;
const logits = fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: V, maxLength: V });

/** The k likeliest tokens of a row, as an engine tells them. */
function told(row: readonly number[], k: number): OwnRow {
  const whole = logSoftmax(Float32Array.from(row))!;
  const ids = [...whole.keys()].sort((a, b) => whole[b]! - whole[a]! || a - b).slice(0, k);
  ids.sort((a, b) => a - b);
  const logprobs = Float64Array.from(ids, (id) => whole[id]!);
  const sum = logprobs.reduce((all, lp) => all + Math.exp(lp), 0);
  return { ids: Int32Array.from(ids), logprobs, left: Math.max(0, 1 - sum) };
}

test('the mixture of the whole rows is never farther away, whatever was left out', () => {
  let tightest = 0;
  fc.assert(
    fc.property(
      logits,
      logits,
      fc.integer({ min: 1, max: V }),
      fc.constantFrom(0.1, 0.3, 0.5, 0.9, 1),
      fc.constantFrom(...RULES),
      (safetyLogits, helpfulLogits, topK, weight, rule) => {
        const [safety, helpful] = [told(safetyLogits, topK), told(helpfulLogits, topK)];
        const { ids, safetyLogprobs, helpfulLogprobs } = pairRows(safety, helpful, { topK });
        const on = (logprobs: Float64Array) => {
          const row = Array<number>(V).fill(0);
          for (const [i, id] of ids.entries()) row[id] = Math.exp(logprobs[i]!);
          const sum = row.reduce((a, b) => a + b, 0);
          return row.map((p) => p / sum);
        };
        const paired = oracle.mix(on(safetyLogprobs), on(helpfulLogprobs!), weight, rule);
        const whole = oracle.mix(oracle.softmax(safetyLogits), oracle.softmax(helpfulLogits), weight, rule);
        const distance = whole.reduce((sum, p, i) => sum + Math.abs(p - paired[i]!), 0) / 2;
        const bound = pairingBound(safety, helpful, { weight, rule });
        // Rows with nothing in common have no mixture under the geometric rule: nothing is
        // promised.
        if (Number.isNaN(distance)) return expect(bound).toBe(1);
        expect(distance).toBeLessThanOrEqual(bound + 1e-9);
        if (bound > 0.01) tightest = Math.max(tightest, distance / bound);
      },
    ),
    { numRuns: 3000 },
  );
  // It is not far from what happens.
  expect(tightest).toBeGreaterThan(0.9);
});

test('is 0 for whole rows, and the mass left out where the safety expert is alone', () => {
  const row = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const [all, some] = [told(row, V), told(row, 3)];
  for (const rule of RULES) {
    expect(pairingBound(all, all, { weight: 0.4, rule })).toBeLessThan(1e-9);
    expect(pairingBound(some, all, { weight: 1, rule })).toBe(some.left);
  }
});
