/**
 * The laws of the budget (README.md), one test each, in every mode. If one fails, fast-check prints
 * the seed.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKEND_MODES } from '#shared/line/line.ts';
import { seedKey } from './draw-key.ts';
import { startGate } from './gate-step.ts';
import { logSoftmax } from './log-softmax.ts';
import { shapeDistribution } from './shape-distribution.ts';
import type { LogprobsInput } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import { type Path, paths, tree } from './testing/tree.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, gateByMode, expectRow, expectNumber }) => {
  const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b, 0);

  describe.each(BACKEND_MODES)('the budget, in the mode %s', (mode) => {
    const { gate, draw } = gateByMode[mode];

    /**
     * Every answer of `length` words, with its probability under the gate and under the safety
     * expert sampled alike.
     */
    function answers(
      experts: ReturnType<typeof tree>,
      rest: Pick<LogprobsInput, 'policy' | 'sampling'>,
      options?: { length: number },
    ): Path[] {
      return paths((answer, state) => {
        const { proposal, ...rows } = experts(answer);
        return gate(rows, { ...rest, proposal, state });
      }, options);
    }

    const budgets = fc.double({ min: 0, max: 3, noNaN: true });

    test('on every path of a small tree, q(y) <= e^K * p_s~(y), and the steps sum to 1', () => {
      let tightest = 0;
      fc.assert(
        fc.property(fc.nat(), arbitrary.policy, budgets, arbitrary.sampling, (seed, policy, budget, sampling) => {
          const leaves = answers(tree(seed), { policy: { ...policy, budget, earned: null }, sampling });
          expect(sum(leaves.map((leaf) => leaf.q))).toBeCloseTo(1, 10);
          for (const { q, ps, spent } of leaves) {
            expect(q).toBeLessThanOrEqual(Math.exp(budget) * ps * (1 + 1e-12));
            expect(spent).toBeLessThanOrEqual(budget);
            expect(Math.log(q / ps)).toBeCloseTo(spent, 9);
            tightest = Math.max(tightest, budget > 0.5 ? q / ps / Math.exp(budget) : 0);
          }
        }),
        { numRuns: 250 },
      );
      // Some answer used its whole budget, so the bound was really tested.
      expect(tightest).toBeGreaterThan(1 - 1e-9);
    });

    test('q(H) <= e^K * p_s~(H) for every set H of answers', () => {
      fc.assert(
        fc.property(fc.nat(), arbitrary.policy, budgets, arbitrary.sampling, (seed, policy, budget, sampling) => {
          const experts = tree(seed, { size: 2 });
          const leaves = answers(experts, { policy: { ...policy, budget }, sampling }, { length: 3 });
          for (let harmful = 0; harmful < 2 ** leaves.length; harmful++) {
            const set = leaves.filter((_, i) => harmful & (1 << i));
            const [q, ps] = [sum(set.map((leaf) => leaf.q)), sum(set.map((leaf) => leaf.ps))];
            // H may also hold answers that q never gives. They only add to p_s~(H).
            if (q > Math.exp(budget) * ps + 1e-12) expect.fail(`q(H) = ${q}, p_s~(H) = ${ps}, H = ${harmful}`);
          }
        }),
        { numRuns: 60 },
      );
    });

    test('K = 0 is the safety expert exactly', () => {
      fc.assert(
        fc.property(
          arbitrary.rows(),
          arbitrary.policy,
          arbitrary.wishes,
          arbitrary.share,
          (rows, policy, sampling, proposal) => {
            fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling));
            const { q } = gate(rows, { policy: { ...policy, budget: 0 }, sampling, proposal, state: startGate() });
            expect(q.logprobs).toBe(q.reference);
            expectRow(
              q.logprobs,
              shapeDistribution(logSoftmax(rows.safetyLogits)!, { ...sampling, scale: new Map(), bias: new Map() }),
            );
          },
        ),
      );
    });

    test('experts that agree spend nothing, however sharp the sampling', () => {
      fc.assert(
        fc.property(
          arbitrary.logitsOf(8),
          arbitrary.policy,
          arbitrary.sampling,
          arbitrary.share,
          (row, policy, sampling, proposal) => {
            const rows = { safetyLogits: row, helpfulLogits: row };
            const { spent } = draw({ ...rows, policy, sampling, proposal, state: startGate() });
            expect(spent).toBeCloseTo(0, 12);
          },
        ),
      );
    });

    test('greedy: the regret against the safety expert never exceeds K, and K = 0 gives the safety expert’s own choice', () => {
      fc.assert(
        fc.property(fc.nat(), arbitrary.policy, arbitrary.finiteBudget, (seed, policy, budget) => {
          const experts = tree(seed);
          const answer: number[] = [];
          let state = startGate();
          let regret = 0;
          for (let i = 0; i < 8; i++) {
            const step = draw({
              ...experts(answer),
              policy: { ...policy, budget },
              sampling: { temperature: 0, topP: 1, key: seedKey(0) },
              state,
            });
            const safety = logSoftmax(experts(answer).safetyLogits)!;
            regret += Math.max(...safety) - step.logprobSafety;
            if (budget === 0) expectNumber(step.logprobSafety, Math.max(...safety));
            expect(step.spent).toBeCloseTo(regret, 9);
            expect(step.spent).toBeLessThanOrEqual(budget);
            answer.push(step.token);
            state = step.state;
          }
        }),
        { numRuns: 120 },
      );
    });
  });

  test('q is a distribution under the cap, and a token can be drawn from it, whatever the magnitudes', () => {
    const weights = fc.oneof(arbitrary.share, fc.constantFrom(Number.MIN_VALUE, 2 ** -53, 1 - 2 ** -53));
    const topP = fc.constantFrom(1, 1, 0.9, 1e-300, Number.EPSILON, 1 - Number.EPSILON / 2);
    const key = arbitrary.key;
    fc.assert(
      fc.property(
        arbitrary.extremeRows,
        fc.record({ temperature: fc.oneof(arbitrary.extremeTemperature, fc.constant(0)), topP, key }),
        arbitrary.extremeNats,
        fc.tuple(arbitrary.rule, weights),
        (rows, sampling, budget, [rule, proposal]) => {
          const rest = { policy: { ...OPEN_POLICY, rule, budget }, sampling, proposal, state: startGate() };
          const { q } = gateRows(rows, rest);
          expect(sum(q.logprobs.map(Math.exp))).toBeCloseTo(1, 12);
          for (const [i, lp] of q.logprobs.entries()) {
            const most = budget + q.reference[i]!;
            if (lp > most + 1e-15 * Math.abs(most)) expect.fail(`token ${i} has ${lp} under a cap of ${most}`);
          }
          const step = gateStep({ ...rows, ...rest });
          expect(rows.safetyLogits[step.token]).toBeGreaterThan(-Infinity);
          expect(step.spent).toBeLessThanOrEqual(budget);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
