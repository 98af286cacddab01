/** The laws of the gate (README.md), one test each. fast-check prints the seed of whatever breaks one. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { effectiveFloor } from './effective-weight.ts';
import { gateLayersStep } from './gate-layers-step.ts';
import { type GateStepInput, gateStep, startGate } from './gate-step.ts';
import type { GatePolicy, GateState, GateStep } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { shapeDistribution } from './shape-distribution.ts';
import { type LogprobsInput, type StepDistribution, stepDistribution } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { gateRows, type Logits, type Rest } from './testing/gate-rows.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import * as oracle from './testing/oracle.ts';
import { type Path, paths, tree } from './testing/tree.ts';

const plain = { temperature: 1, topP: 1, key: seedKey(0) };
const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b, 0);

/** A router's wish as a model would have held it between the bounds of the layers row. */
function held(wish: number, { policy, state }: Pick<LogprobsInput, 'policy' | 'state'>): number {
  const floor = effectiveFloor(policy, state);
  return Math.min(Math.max(wish, floor), Math.max(policy.ceiling, floor));
}

/** The two ways to a mixture. In the mode `layers` the second row is the mixture itself, whatever a model has put into it. */
const MODES: Record<
  string,
  { gate: (rows: Logits, rest: Rest) => StepDistribution; draw: (input: GateStepInput) => GateStep }
> = {
  logits: { gate: gateRows, draw: gateStep },
  layers: {
    gate({ safetyLogits, helpfulLogits }, { proposal, ...rest }) {
      const alpha = held(proposal, rest);
      return stepDistribution({ safety: logSoftmax(safetyLogits), layers: logSoftmax(helpfulLogits), alpha, ...rest });
    },
    draw({ helpfulLogits, proposal, ...rest }) {
      return gateLayersStep({ layersLogits: helpfulLogits, alpha: held(proposal, rest), ...rest });
    },
  },
};

describe('weights and rules', () => {
  test('weight 1 is the safety expert exactly, whatever the other masks, under every budget and sampling', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.policy, arbitrary.wishes, (rows, policy, sampling) => {
        fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling.mask));
        const line = { ...policy, floor: 1 };
        const { q, weight } = gateRows(rows, { policy: line, sampling, proposal: 0, state: startGate() });
        expect(weight).toBe(1);
        expect(q.logprobs).toEqual(shapeDistribution(logSoftmax(rows.safetyLogits)!, { ...sampling, bias: new Map() }));
      }),
    );
  });

  test('weight 0 is the helpfulness expert exactly', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.rule, arbitrary.sampling, (rows, rule, sampling) => {
        const { q } = gateRows(rows, { policy: { ...OPEN_POLICY, rule }, sampling, proposal: 0, state: startGate() });
        expect(q.logprobs).toEqual(shapeDistribution(logSoftmax(rows.helpfulLogits)!, sampling));
      }),
    );
  });

  test('adding a constant to a row of logits changes nothing, not one bit', () => {
    const constant = fc.integer({ min: -64000, max: 64000 }).map((n) => n / 64);
    fc.assert(
      fc.property(
        arbitrary.rows(),
        fc.tuple(constant, constant),
        arbitrary.policy,
        arbitrary.sampling,
        arbitrary.share,
        ({ safetyLogits, helpfulLogits }, [a, b], policy, sampling, proposal) => {
          const rest = { policy, sampling, proposal, state: startGate() };
          const moved = {
            safetyLogits: safetyLogits.map((x) => x + a),
            helpfulLogits: helpfulLogits.map((x) => x + b),
          };
          expect(gateStep({ ...moved, ...rest })).toEqual(gateStep({ safetyLogits, helpfulLogits, ...rest }));
        },
      ),
    );
  });

  test('raising a floor, or the opening’s, or lengthening the opening never lowers the weight', () => {
    fc.assert(
      fc.property(
        arbitrary.policy,
        fc.oneof(arbitrary.share, fc.constant(NaN)),
        fc.nat(8),
        fc.tuple(arbitrary.share, arbitrary.share, fc.nat(5)),
        (policy, proposal, position, [floor, openingFloor, tokens]) => {
          const raised = {
            ...policy,
            floor: Math.max(policy.floor, floor),
            opening: {
              tokens: policy.opening.tokens + tokens,
              floor: Math.max(policy.opening.floor, openingFloor),
            },
          };
          const rows = { safetyLogits: Float32Array.of(0, 1), helpfulLogits: Float32Array.of(1, 0) };
          const weightUnder = (line: GatePolicy) =>
            gateRows(rows, { policy: line, proposal, sampling: plain, state: startGate(position) }).weight;
          expect(weightUnder(raised)).toBeGreaterThanOrEqual(weightUnder(policy));
        },
      ),
    );
  });

  const mixed = (rows: Logits, rule: GatePolicy['rule'], w: number) => ({
    p: [
      ...gateRows(rows, { policy: { ...OPEN_POLICY, rule }, sampling: plain, proposal: w, state: startGate() }).q
        .logprobs,
    ].map(Math.exp),
    ps: oracle.softmax(rows.safetyLogits),
    ph: oracle.softmax(rows.helpfulLogits),
  });

  test('arithmetic: KL(p_s||p) <= -log w', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.insideShare, (rows, w) => {
        const { p, ps } = mixed(rows, 'arithmetic', w);
        expect(oracle.kl(ps, p)).toBeLessThanOrEqual(-Math.log(w) + 1e-9);
      }),
      { numRuns: 500 },
    );
  });

  test('geometric: KL(p||p_s) <= (1-w)/w * KL(p_s||p_h)', () => {
    fc.assert(
      fc.property(arbitrary.rows({ masks: false }), arbitrary.insideShare, (rows, w) => {
        const { p, ps, ph } = mixed(rows, 'geometric', w);
        expect(oracle.kl(p, ps)).toBeLessThanOrEqual(((1 - w) / w) * oracle.kl(ps, ph) + 1e-9);
        // And why: p minimises what p_s is put into here.
        const cost = (x: number[]) => w * oracle.kl(x, ps) + (1 - w) * oracle.kl(x, ph);
        expect(cost(p)).toBeLessThanOrEqual(cost(ps) + 1e-9);
        expect(cost(p)).toBeLessThanOrEqual(cost(ph) + 1e-9);
      }),
      { numRuns: 500 },
    );
  });

  test('the gate is the oracle’s', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        arbitrary.share,
        fc.tuple(fc.nat(8), fc.double({ min: -3, max: 1, noNaN: true })),
        (rows, policy, sampling, proposal, [position, spentShare]) => {
          // Only spendings that the budget allows.
          const state = { position, spent: spentShare * Math.min(policy.budget ?? 1, 4) };
          const rest = { policy, sampling, proposal, state };
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling.mask));
          const expected = oracle.gate({ ...rows, ...rest });
          const q = gateRows(rows, rest).q.logprobs.map(Math.exp);
          for (const [i, p] of expected.entries()) expect(q[i]).toBeCloseTo(p, 8);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

test('whatever the magnitudes, q is a distribution under the cap, and one token is drawn', () => {
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

test('on a mixture made in the layers the gate is the oracle’s, too', () => {
  fc.assert(
    fc.property(
      arbitrary.rows(),
      arbitrary.policy,
      arbitrary.wishes,
      arbitrary.share,
      fc.nat(8),
      (rows, policy, sampling, proposal, position) => {
        fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling.mask));
        const state = { position, spent: 0 };
        const ps = oracle.reference(rows.safetyLogits, sampling);
        const shaped = oracle.shape(oracle.softmax(rows.helpfulLogits), sampling);
        const closed = oracle.weight(proposal, policy, position) === 1 || shaped.some(Number.isNaN);
        const p = closed ? ps : shaped;
        const q = MODES.layers!.gate(rows, { policy, sampling, proposal, state }).q.logprobs.map(Math.exp);
        for (const [i, expected] of oracle.cap(p, ps, oracle.bound(policy, position)).entries())
          expect(q[i]).toBeCloseTo(expected, 8);
      },
    ),
    { numRuns: 500 },
  );
});

describe.each(Object.keys(MODES))('the budget, in the mode %s', (mode) => {
  const { gate, draw } = MODES[mode]!;

  /** Every answer of `length` words, with its probability under the gate and under the safety expert sampled alike. */
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
    // The budget was there to be used: somewhere an answer took all of it.
    expect(tightest).toBeGreaterThan(1 - 1e-9);
  });

  test('whatever set H of answers is harmful, q(H) <= e^K * p_s~(H)', () => {
    fc.assert(
      fc.property(fc.nat(), arbitrary.policy, budgets, arbitrary.sampling, (seed, policy, budget, sampling) => {
        const experts = tree(seed, { size: 2 });
        const leaves = answers(experts, { policy: { ...policy, budget }, sampling }, { length: 3 });
        for (let harmful = 0; harmful < 2 ** leaves.length; harmful++) {
          const set = leaves.filter((_, i) => harmful & (1 << i));
          const [q, ps] = [sum(set.map((leaf) => leaf.q)), sum(set.map((leaf) => leaf.ps))];
          // Answers that q never gives may stand in H as well; they only add to p_s~(H).
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
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling.mask));
          const { q } = gate(rows, { policy: { ...policy, budget: 0 }, sampling, proposal, state: startGate() });
          expect(q.logprobs).toEqual(
            shapeDistribution(logSoftmax(rows.safetyLogits)!, { ...sampling, bias: new Map() }),
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

  test('greedy: the sum of what the safety expert would rather have said never passes K; at K = 0 it says it', () => {
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
            sampling: { ...plain, temperature: 0 },
            state,
          });
          const safety = logSoftmax(experts(answer).safetyLogits)!;
          regret += Math.max(...safety) - step.logprobSafety;
          if (budget === 0) expect(step.logprobSafety).toBe(Math.max(...safety));
          expect(step.spent).toBeCloseTo(regret, 9);
          expect(step.spent).toBeLessThanOrEqual(budget);
          answer.push(step.token);
          state = step.state;
        }
      }),
      { numRuns: 120 },
    );
  });

  /** An answer of `length` tokens from `from` on, as a decode loop draws it. */
  function decode(
    experts: ReturnType<typeof tree>,
    rest: Pick<LogprobsInput, 'policy' | 'sampling'>,
    { length, answer = [], state = startGate() }: { length: number; answer?: number[]; state?: GateState },
  ): GateStep[] {
    const steps: GateStep[] = [];
    for (let i = 0; i < length; i++) {
      const soFar = [...answer, ...steps.map((step) => step.token)];
      steps.push(draw({ ...experts(soFar), ...rest, state: steps.at(-1)?.state ?? state }));
    }
    return steps;
  }

  test('spent is the running sum of log q - log p_s~, and never above K', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        arbitrary.policy,
        arbitrary.finiteBudget,
        arbitrary.sampling,
        (seed, policy, budget, sampling) => {
          const steps = decode(tree(seed), { policy: { ...policy, budget }, sampling }, { length: 16 });
          let expected = 0;
          steps.forEach(({ token, logprob, spent }, i) => {
            const { safetyLogits } = tree(seed)(steps.slice(0, i).map((step) => step.token));
            expected += logprob - shapeDistribution(logSoftmax(safetyLogits)!, sampling)![token]!;
            expect(spent).toBeCloseTo(expected, 9);
            expect(spent).toBeLessThanOrEqual(budget);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the same key, prompt and policy give the same answer', () => {
    fc.assert(
      fc.property(fc.nat(), arbitrary.policy, arbitrary.sampling, (seed, policy, sampling) => {
        const once = decode(tree(seed), { policy, sampling }, { length: 12 });
        expect(decode(tree(seed), { policy, sampling }, { length: 12 })).toEqual(once);
      }),
      { numRuns: 50 },
    );
  });

  test('an answer cut off at any token goes on, from its state in JSON, as if nothing had happened', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        arbitrary.policy,
        arbitrary.sampling,
        fc.boolean(),
        fc.nat(11),
        (seed, policy, shape, greedy, cut) => {
          const sampling = greedy ? { ...shape, temperature: 0 } : shape;
          const whole = decode(tree(seed), { policy, sampling }, { length: 12 });
          const first = decode(tree(seed), { policy, sampling }, { length: cut });
          const state: GateState = JSON.parse(JSON.stringify(first.at(-1)?.state ?? startGate()));
          const answer = first.map((step) => step.token);
          const rest = decode(tree(seed), { policy, sampling }, { length: 12 - cut, answer, state });
          expect([...first, ...rest]).toEqual(whole);
        },
      ),
      { numRuns: 60 },
    );
  });
});
