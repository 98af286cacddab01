/** Earned budgets: spent <= min(K, start + rate * t) after every token t. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKEND_MODES } from '#shared/line/line.ts';
import { addSpending, natsLeft, spendingBound } from './add-spending.ts';
import { startGate } from './gate-step.ts';
import type { GatePolicy } from './gate-types.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { EXAMPLE_STEP } from './testing/example-step.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';
import * as oracle from './testing/oracle.ts';
import { paths, tree } from './testing/tree.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, gateByMode }) => {
  const earned = fc.record({
    start: fc.double({ min: 0, max: 1.5, noNaN: true }),
    rate: fc.oneof(fc.double({ min: 0, max: 0.8, noNaN: true }), fc.constant(0)),
  });
  const budgets = fc.oneof(fc.constant(null), fc.double({ min: 0, max: 3, noNaN: true }));

  test.each(BACKEND_MODES)(
    'every beginning of an answer has q <= e^min(K, start + rate * t) * p_s~, in the mode %s',
    (mode) => {
      let tightest = 0;
      fc.assert(
        fc.property(
          fc.nat(),
          fc.tuple(arbitrary.policy, budgets, earned),
          arbitrary.sampling,
          (seed, [policy, budget, earned], sampling) => {
            const experts = tree(seed);
            const line: GatePolicy = {
              ...policy,
              budget,
              earned,
              floor: 0,
              ceiling: 1,
              opening: { tokens: 0, floor: 0 },
            };
            const step = (answer: number[], state: { position: number; spent: number }) => {
              const { safetyLogits, helpfulLogits, proposal } = experts(answer);
              const ps = oracle.reference(safetyLogits, sampling);
              const rows = { safetyLogits, helpfulLogits };
              return { ...gateByMode[mode].gate(rows, { proposal, policy: line, sampling, state }), ps };
            };
            const begun = paths(step, { prefixes: true });
            for (let t = 1; t <= 4; t++) {
              const most = Math.min(budget ?? Infinity, earned.start + earned.rate * t);
              const all = begun.filter(({ answer }) => answer.length === t);
              expect(all.reduce((sum, { q }) => sum + q, 0)).toBeCloseTo(1, 10);
              for (const { q, ps, spent } of all) {
                if (q > Math.exp(most) * ps * (1 + 1e-9))
                  expect.fail(`q = ${q} and p_s~ = ${ps} after ${t} under ${most}`);
                if (spent > most) expect.fail(`${spent} spent after ${t} under ${most}`);
                if (most > 0.5) tightest = Math.max(tightest, q / ps / Math.exp(most));
              }
            }
          },
        ),
        { numRuns: 250 },
      );
      // Some beginning spent all that it had earned.
      expect(tightest).toBeGreaterThan(1 - 1e-9);
    },
  );

  test('greedy decoding keeps to the earned budget too, at every token', () => {
    let tightest = 0;
    fc.assert(
      fc.property(fc.nat(), arbitrary.policy, budgets, earned, (seed, policy, budget, earned) => {
        const experts = tree(seed);
        const line = { ...policy, budget, earned, floor: 0, opening: { tokens: 0, floor: 0 } };
        const answer: number[] = [];
        let state = startGate();
        for (let t = 1; t <= 8; t++) {
          const sampling = { temperature: 0, topP: 1, key: [0, 0, 0, 0] as const };
          const step = gateStep({ ...experts(answer), policy: line, sampling, state });
          const most = Math.min(budget ?? Infinity, earned.start + earned.rate * t);
          expect(step.spent).toBeLessThanOrEqual(most);
          if (most > 0.1) tightest = Math.max(tightest, step.spent / most);
          answer.push(step.token);
          state = step.state;
        }
      }),
    );
    expect(tightest).toBeGreaterThan(0.5);
  });

  test('the bound is the smaller of the budget and what is earned by the next token', () => {
    const bounds = (policy: Pick<GatePolicy, 'budget' | 'earned'>) =>
      [0, 1, 2, 3].map((position) => spendingBound(policy, { position }));
    expect(bounds({ budget: 3, earned: { start: 1, rate: 0.75 } })).toEqual([1.75, 2.5, 3, 3]);
    expect(bounds({ budget: null, earned: { start: 1, rate: 0.75 } })).toEqual([1.75, 2.5, 3.25, 4]);
    expect(bounds({ budget: 3, earned: null })).toEqual([3, 3, 3, 3]);
    expect(bounds({ budget: null, earned: null })).toEqual([null, null, null, null]);
  });

  test('an infinite bound stays a finite number', () => {
    const policy = { budget: null, earned: { start: Number.MAX_VALUE, rate: Number.MAX_VALUE } };
    const bound = spendingBound(policy, { position: 1e6 });
    expect(bound).toBe(Number.MAX_VALUE);
    expect(natsLeft(bound, { spent: -Number.MAX_VALUE })).toBe(Number.MAX_VALUE);
    // An infinite cost exceeds even this bound, so no token that the safety expert masks is drawn.
    const step = gateStep({
      ...EXAMPLE_STEP,
      safetyLogits: Float32Array.of(0, -Infinity),
      helpfulLogits: Float32Array.of(-Infinity, 0),
      proposal: 0,
      policy: { ...EXAMPLE_STEP.policy, ...policy, floor: 0, opening: { tokens: 0, floor: 0 } },
    });
    expect(step.token).toBe(0);
  });

  test('the safety expert draws alone if nothing is earned, or if the bound is spent in full at rate 0', () => {
    const helpfulLogits = Float32Array.of(0, 3, -1, 1);
    const alone = (earned: GatePolicy['earned'], spent: number) => {
      const policy = { ...EXAMPLE_STEP.policy, earned };
      const { safetyLogits, sampling } = EXAMPLE_STEP;
      const rest = { proposal: 0, policy, sampling, state: startGate(4, spent) };
      const { q } = gateRows({ safetyLogits, helpfulLogits }, rest);
      return q.logprobs === q.reference;
    };
    expect(alone({ start: 0, rate: 0 }, 0)).toBe(true);
    expect(alone({ start: 1, rate: 0 }, 1)).toBe(true);
    expect(alone({ start: 0, rate: 0.25 }, 1)).toBe(false);
    expect(alone({ start: 1, rate: 0 }, 2)).toBe(true);
  });

  test('the account keeps to the bound at its position, and an overdrawn account stays overdrawn', () => {
    expect(addSpending(1, { spends: 0.5 + 1e-15, bound: 1.5 })).toBe(1.5);
    expect(addSpending(2, { spends: 0, bound: 1.5 })).toBe(2);
    const policy = { ...EXAMPLE_STEP.policy, earned: { start: 0.25, rate: 0.25 } };
    // Resumed with 2.5 nats spent, under a line that has earned 1 by now.
    const input = { ...EXAMPLE_STEP, helpfulLogits: Float32Array.of(0, 3, -1, 1), proposal: 0.1, policy };
    const step = gateStep({ ...input, state: startGate(2, 2.5) });
    expect(step.spent).toBe(2.5);
    expect(step.token).toBe(gateStep({ ...input, helpfulLogits: null, state: startGate(2, 2.5) }).token);
  });
});
