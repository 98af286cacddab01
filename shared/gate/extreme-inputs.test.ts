/**
 * Inputs at the edge of what numbers hold: a safety expert that is left with next to no mass, caps
 * beyond any double, weights next to 0. Here a product of 0 and Infinity would be a NaN, and a NaN
 * exceeds no cap. Each version is held to the laws, and to the plain one.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addSpending, LOG_ZERO, natsLeft, SPENT_UNBOUNDED, spendingBound } from './add-spending.ts';
import { seedKey } from './draw-key.ts';
import { GateError } from './gate-error.ts';
import { gateStep as plainStep, startGate } from './gate-step.ts';
import type { GateStep, SamplingParams } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { stepDistribution } from './step-distribution.ts';
import { type ExtremeInput, extremeInput } from './testing/extreme-inputs.ts';
import { type Distribution, GATE_VERSIONS, type GateVersion } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import { uniformAt } from './uniform-at.ts';

const MODES = ['logits', 'layers'] as const;
const plainGate = GATE_VERSIONS[0]!;

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, gateHelpfulStep, gateByMode }) => {
  /** 128 tokens at -9 but for the given ones. */
  const rowOf = (logits: Record<number, number>) =>
    Float32Array.from({ length: 128 }, (_, token) => logits[token] ?? -9);

  describe('never draws what the safety expert leaves out, however large the budget', () => {
    const safetyLogits = rowOf({ 0: 8, 10: 1, 12: 0.5 });
    const helpfulLogits = rowOf({ 0: 8, 10: 1, 12: 2 });
    const mask = new Set([0]);
    test.each<[string, Partial<SamplingParams>]>([
      ['by top-p', { topP: 0.9 }],
      ['by top-k', { topK: 1 }],
      ['by min-p', { minP: 0.9 }],
    ])('%s, where a mask takes the only likely token', (_, cut) => {
      for (const budget of [300, 400, 600, 700, 1000, 1e6, 1e300]) {
        const policy = { ...OPEN_POLICY, budget };
        const sampling = { temperature: 0.05, topP: 1, ...cut, mask, key: seedKey(1) };
        const input = { safetyLogits, helpfulLogits, proposal: 0.2, policy, sampling, state: startGate() };
        expect(gateStep(input)).toMatchObject({ token: 10, spent: 0 });
      }
    });

    test('where few tokens are allowed, all of them all but impossible', () => {
      const likely = { ...rowOf({}).fill(-400), 0: 0 };
      const allowed = Uint32Array.of(0b1111 << 10, 0, 0, 0);
      for (const budget of [200, 400, 1e6]) {
        for (let seed = 0; seed < 8; seed++) {
          const { token, spent } = gateStep({
            safetyLogits: rowOf({ ...likely, 10: -397, 11: -398, 13: -401 }),
            helpfulLogits: rowOf({ ...likely, 10: -401, 11: -401, 12: -380, 13: -402 }),
            proposal: 0,
            policy: { ...OPEN_POLICY, budget },
            sampling: { temperature: 1, topP: 1, topK: 2, allowed, key: seedKey(seed) },
            state: startGate(),
          });
          expect([10, 11]).toContain(token);
          expect(spent).toBeLessThanOrEqual(budget);
        }
      }
    });
  });

  test('a token that the safety expert all but rules out is capped by its own size, not by what a double holds', () => {
    // Top-k keeps token 1 in both rows. e^-650 times e^1e6 is far above 1, so nothing is capped.
    const input = {
      safetyLogits: Float32Array.of(0, -650, -2000),
      helpfulLogits: Float32Array.of(-1, 0, -2000),
      proposal: 0,
      policy: { ...OPEN_POLICY, budget: 1e6 },
      sampling: { temperature: 1, topP: 1, topK: 2, key: seedKey(3) },
      state: startGate(),
    };
    const { q } = gateRows(input, input);
    expect(Math.exp(q.logprobs[1]!)).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
    const seeds = Array.from({ length: 20 }, (_, seed) => seedKey(seed));
    const drawn = (step: typeof gateStep) =>
      seeds.map((key) => step({ ...input, sampling: { ...input.sampling, key } }).token);
    expect(drawn(gateStep)).toEqual(drawn(plainStep));
  });

  test('a penalty counts from the whole mixture, even if that is next to nothing at temperature 1', () => {
    // Each token is all but impossible for one of the two. At temperature 1, half of the masses in
    // the mixture are too small for a double. At 5, none is.
    const row = (odd: number) => Float32Array.from({ length: 60 }, (_, i) => (i % 2 === odd ? 0 : -1416.8) - i / 30);
    const input = {
      safetyLogits: row(0),
      helpfulLogits: row(1),
      proposal: 0.5,
      policy: OPEN_POLICY,
      sampling: { temperature: 5, topP: 1, scale: new Map([[1, 1.5]]), key: seedKey(1) },
      state: startGate(),
    };
    const expected = stepDistribution(ofPlain(input)).q.logprobs;
    for (const [i, lp] of gateRows(input, input).q.logprobs.entries()) {
      expect(Math.exp(lp)).toBeCloseTo(Math.exp(expected[i]!), 9);
    }
  });

  test('a token that the arithmetic rule all but rules out still counts where the temperature is high', () => {
    const input = {
      safetyLogits: Float32Array.of(0, -1, -900),
      helpfulLogits: Float32Array.of(-2, 0, -800),
      proposal: 0.3,
      policy: { ...OPEN_POLICY, rule: 'arithmetic' as const },
      sampling: { temperature: 1000, topP: 1, key: seedKey(1) },
      state: startGate(),
    };
    const q = (logprobs: Float64Array) => Math.exp(logprobs[0]!);
    expect(q(gateRows(input, input).q.logprobs)).toBeCloseTo(q(stepDistribution(ofPlain(input)).q.logprobs), 9);
  });

  test('what top-k leaves of the safety expert keeps its size in the account, however small', () => {
    const step = gateStep({
      safetyLogits: Float32Array.of(900, 0, 0.5),
      helpfulLogits: Float32Array.of(0, 0, 60),
      proposal: 0,
      policy: OPEN_POLICY,
      sampling: { temperature: 1, topP: 1, topK: 2, key: seedKey(1) },
      state: startGate(),
    });
    expect(step.token).toBe(2);
    expect(step.spent).toBeCloseTo(899.5, 9);
  });

  test.each(MODES)(
    'in mode %s, keeps the account, the cap and the plain gate’s choice, whatever the magnitudes',
    (mode) => {
      const [{ gate, draw }, plain] = [gateByMode[mode], plainGate.gateByMode[mode]];
      let [drawn, open, compared] = [0, 0, 0];
      fc.assert(
        fc.property(extremeInput, (input) => {
          const bound = spendingBound(input.policy, input.state);
          const left = natsLeft(bound, input.state);
          const [step, expected] = [outcomeOf(() => draw(input)), outcomeOf(() => plain.draw(input))];
          if (typeof step === 'string' || typeof expected === 'string') {
            expect(step).toBe(expected);
            return;
          }
          drawn++;
          if (step.weight < 1) open++;
          expect(step.weight).toBe(expected.weight);
          expect(Number.isFinite(step.spent)).toBe(true);
          if (bound !== null) expect(step.spent).toBeLessThanOrEqual(Math.max(bound, input.state.spent));
          const { q } = gate(input, input);
          for (const [i, lp] of q.logprobs.entries()) {
            const base = q.reference[i]!;
            const most = left === null || input.sampling.temperature === 0 ? Infinity : Math.max(0, left) + base;
            if (lp > most + 1e-9 * Math.max(1, Math.abs(base))) {
              expect.fail(`token ${i} has ${lp} under a cap of ${most}`);
            }
          }

          // A cut through tokens that only rounding tells apart keeps one or another of them.
          if (isTied(input, plain.gate)) return;
          compared++;
          const from = plain.gate(input, input);
          if (input.sampling.temperature === 0) {
            expectGreedy(step.token, expected.token, { ...from, left });
            return;
          }
          expect(from.q.logprobs[step.token]).toBeGreaterThan(-746);
          if (step.token !== expected.token) expect(isClose(input, from.q.logprobs)).toBe(true);
          else expectNear(step.spent, expected.spent);
          for (const [i, lp] of q.logprobs.entries()) expectNear(Math.exp(lp), Math.exp(from.q.logprobs[i]!));
        }),
        { numRuns: 2000 },
      );
      expect(drawn).toBeGreaterThan(1000);
      expect(open).toBeGreaterThan(300);
      expect(compared).toBeGreaterThan(700);
    },
  );

  test('without the safety expert’s row, keeps the plain gate’s choice, whatever the magnitudes', () => {
    let [drawn, compared] = [0, 0];
    // Mostly lines that leave the safety expert out. Under the others, there is no token to draw.
    const pinned = fc.constantFrom({}, { proposal: 0, floor: 0 }, { ceiling: 0, floor: 0 }, { ceiling: 0, floor: 0 });
    fc.assert(
      fc.property(extremeInput, pinned, (any, { proposal = any.proposal, ...bounds }) => {
        const opening = { tokens: 0, floor: 0 };
        const open = Object.keys(bounds).length === 0 ? {} : { ...bounds, opening, budget: null, earned: null };
        const { safetyLogits: _, ...input } = { ...any, proposal, policy: { ...any.policy, ...open } };
        const alone = (step: typeof gateHelpfulStep) => outcomeOf(() => step(input));
        const [step, expected] = [alone(gateHelpfulStep), alone(plainGate.gateHelpfulStep)];
        if (typeof step === 'string' || typeof expected === 'string') {
          expect(step).toBe(expected);
          return;
        }
        drawn++;
        const unknown = { weight: 0, logprobSafety: LOG_ZERO, spent: SPENT_UNBOUNDED };
        expect(step).toMatchObject({ ...unknown, state: expected.state });
        expect(expected).toMatchObject(unknown);
        // The safety expert's row changes nothing here, so any will do.
        const rows = { ...input, safetyLogits: input.helpfulLogits };
        if (isTied(rows, plainGate.gateRows)) return;
        compared++;
        const from = plainGate.gateRows(rows, input);
        if (input.sampling.temperature === 0) {
          expectGreedy(step.token, expected.token, { ...from, left: null });
          return;
        }
        expect(from.q.logprobs[step.token]).toBeGreaterThan(-746);
        if (step.token !== expected.token) {
          expect(isClose(input, from.q.logprobs)).toBe(true);
          return;
        }
        expectNear(step.logprob, expected.logprob);
        // What the experts themselves say has six digits in the fast version.
        expect(Math.abs(step.logprobHelpful - expected.logprobHelpful)).toBeLessThanOrEqual(
          1e-5 * Math.max(1, Math.abs(expected.logprobHelpful)),
        );
      }),
      { numRuns: 2000 },
    );
    expect(drawn).toBeGreaterThan(700);
    expect(compared).toBeGreaterThan(400);
  });
});

test('an account takes only numbers, and infinities only where nothing bounds it', () => {
  for (const [spends, bound] of [
    [NaN, null],
    [NaN, 3],
    [-Infinity, null],
    [-Infinity, 3],
    [Infinity, 3],
  ] as const) {
    const add = () => addSpending(1, { spends, bound });
    expect(add).toThrow(expect.objectContaining({ code: 'distribution_unusable' }));
  }
});

const ofPlain = ({ safetyLogits, helpfulLogits, ...rest }: ExtremeInput) => ({
  safety: logSoftmax(safetyLogits),
  helpful: logSoftmax(helpfulLogits),
  ...rest,
});

/** A step, or why there is none. */
function outcomeOf(step: () => GateStep): GateStep | string {
  try {
    return step();
  } catch (thrown) {
    if (thrown instanceof GateError) return thrown.code;
    throw thrown;
  }
}

function expectNear(x: number, expected: number): void {
  if (Math.abs(x - expected) <= 1e-9 * Math.max(1, Math.abs(expected))) return;
  expect.fail(`${x} instead of ${expected}`);
}

/** Greedy: one token, or two between which only rounding decides. */
function expectGreedy(
  token: number,
  expected: number,
  { q, mixture, left }: Pick<Distribution, 'q' | 'mixture'> & { left: number | null },
): void {
  const regret = (of: number) => -q.reference[of]!;
  const rounding = (x: number) => 1e-12 * Math.max(1, Math.abs(x));
  const most = left === null ? Infinity : Math.max(0, left);
  expect(regret(token)).toBeLessThanOrEqual(most + rounding(most));
  if (token === expected) return;
  const tied = Math.abs(mixture[token]! - mixture[expected]!) <= rounding(mixture[expected]!);
  const edge = [token, expected].some((of) => Math.abs(regret(of) - most) <= rounding(most));
  expect(tied || edge).toBe(true);
}

/** Whether a cut may have to choose between tokens that are as likely up to rounding. */
function isTied(input: ExtremeInput, gate: GateVersion['gateRows']): boolean {
  const { temperature, topK = 0, topP, minP = 0, ...wishes } = input.sampling;
  if (temperature === 0 || (topK === 0 && topP === 1 && minP === 0)) return false;
  const uncut = {
    ...input,
    sampling: { ...wishes, temperature, topP: 1 },
    policy: { ...input.policy, budget: 1e9, earned: null },
    // A budget that is used up would close the gate, and hide the mixture.
    state: { ...input.state, spent: 0 },
  };
  const { mixture, q } = gate(uncut, uncut);
  return [mixture, q.reference].some((row) => {
    const sorted = row.filter((lp) => lp > -Infinity).sort();
    return sorted.some((lp, i) => i > 0 && lp - sorted[i - 1]! < 1e-11 * Math.max(1, -lp));
  });
}

/** Whether the random number is so close to a token's boundary that rounding may decide. */
function isClose({ sampling, state }: Pick<ExtremeInput, 'sampling' | 'state'>, logprobs: Float64Array): boolean {
  const u = uniformAt(sampling.key, state.position);
  let passed = 0;
  return logprobs.some((lp) => {
    passed += Math.exp(lp);
    return Math.abs(passed - u) < 1e-11;
  });
}
