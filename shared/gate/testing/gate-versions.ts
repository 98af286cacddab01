/**
 * The two versions of the gate, for tests that hold both to the same laws: the plain one, and the
 * fast one with masses in place of logarithms. What the fast one leaves to the plain one is part of
 * it.
 */
import { expect } from 'vitest';
import type { BackendMode } from '#shared/line/line.ts';
import type { DrawableDistribution } from '../drawable-distribution.ts';
import { effectiveFloor } from '../effective-weight.ts';
import { createGate, type Gate } from '../fast/create-gate.ts';
import { FastGate } from '../fast/fast-gate.ts';
import { loadKernel } from '../fast/kernel.ts';
import type { GateStepInput } from '../gate-step.ts';
import type { GateStep } from '../gate-types.ts';
import { logSoftmax } from '../log-softmax.ts';
import { type LogprobsInput, type StepDistribution, stepDistribution } from '../step-distribution.ts';

export type Logits = { safetyLogits: Float32Array; helpfulLogits: Float32Array };
type Rest = Pick<LogprobsInput, 'policy' | 'sampling' | 'state'> & { proposal: number };

/** A step's distribution, to look at. Only the plain version's may be drawn from. */
export type Distribution = Omit<StepDistribution, 'q'> & {
  q: Pick<DrawableDistribution, 'logprobs' | 'reference'>;
};

type Rows = (rows: Logits, rest: Rest) => Distribution;

export type GateVersion = {
  name: string;
  gateStep: Gate['step'];
  gateLayersStep: Gate['layersStep'];
  gateHelpfulStep: Gate['helpfulStep'];
  /** The distribution of one step in the mode `logits`, from two rows of logits `[vocabulary]`. */
  gateRows: Rows;
  /** The two ways to a mixture. In the mode `layers` the second row is the mixture itself. */
  gateByMode: Record<BackendMode, { gate: Rows; draw: (input: GateStepInput) => GateStep }>;
  /**
   * Compares a row of log-probabilities with one that the plain functions made: bit for bit, or up
   * to the rounding of other sums.
   */
  expectRow: (row: Float64Array, expected: Float64Array | null) => void;
  /** The same for a step. What the experts themselves say has six digits in the fast version. */
  expectStep: (step: Partial<GateStep>, expected: Partial<GateStep>) => void;
  /** The same for one number. `digits` after the point, where the fast version has fewer. */
  expectNumber: (x: number, expected: number, digits?: number) => void;
};

/** A router's proposal, held between the bounds as a model holds the gates of its layers row. */
function held(wish: number, { policy, state }: Pick<LogprobsInput, 'policy' | 'state'>): number {
  const floor = effectiveFloor(policy, state);
  return Math.min(Math.max(wish, floor), Math.max(policy.ceiling, floor));
}

function version(
  parts: Omit<GateVersion, 'gateByMode'> & {
    layersRows: (rows: Logits, rest: Omit<Rest, 'proposal'> & { alpha: number }) => Distribution;
  },
): GateVersion {
  const { layersRows, gateRows, gateStep, gateLayersStep } = parts;
  return {
    ...parts,
    gateByMode: {
      logits: { gate: gateRows, draw: gateStep },
      layers: {
        gate: (rows, { proposal, ...rest }) => layersRows(rows, { alpha: held(proposal, rest), ...rest }),
        draw: ({ helpfulLogits, proposal, ...rest }) =>
          gateLayersStep({ layersLogits: helpfulLogits, alpha: held(proposal, rest), ...rest }),
      },
    },
  };
}

const plainSteps = createGate(null);

const plain = version({
  name: 'plain',
  gateStep: plainSteps.step,
  gateLayersStep: plainSteps.layersStep,
  gateHelpfulStep: plainSteps.helpfulStep,
  gateRows: ({ safetyLogits, helpfulLogits }, rest) =>
    stepDistribution({ safety: logSoftmax(safetyLogits), helpful: logSoftmax(helpfulLogits), ...rest }),
  layersRows: ({ safetyLogits, helpfulLogits }, rest) =>
    stepDistribution({ safety: logSoftmax(safetyLogits), layers: logSoftmax(helpfulLogits), ...rest }),
  expectRow: (row, expected) => expect(row).toEqual(expected),
  expectStep: (step, expected) => expect(step).toEqual(expected),
  expectNumber: (x, expected) => expect(x).toBe(expected),
});

const kernel = loadKernel();
if (!kernel) throw new Error('WebAssembly is missing, and with it half of what these tests test');
const fastSteps = createGate(kernel);
const fastGate = new FastGate(kernel);

function fastRows(
  { safetyLogits, helpfulLogits }: Logits,
  { beside, ...rest }: Omit<Rest, 'proposal'> & { beside: { proposal: number } | { alpha: number } },
): Distribution | null {
  const solved = fastGate.solve({ safetyLogits, besideLogits: helpfulLogits, beside, ...rest });
  if (!solved) return null;
  const { q, ...others } = solved;
  const row = (of: (token: number) => number) => Float64Array.from(safetyLogits, (_, token) => of.call(q, token));
  const reference = row(q.logReference);
  const logprobs = row(q.logQ);
  // Which is the reference itself, is known by its numbers.
  const same = logprobs.every((lp, i) => lp === reference[i]);
  return { q: { logprobs: same ? reference : logprobs, reference }, mixture: row(q.logMixture), ...others };
}

const fast = version({
  name: 'fast',
  gateStep: fastSteps.step,
  gateLayersStep: fastSteps.layersStep,
  gateHelpfulStep: fastSteps.helpfulStep,
  gateRows: (rows, { proposal, ...rest }) =>
    fastRows(rows, { beside: { proposal }, ...rest }) ?? plain.gateRows(rows, { proposal, ...rest }),
  layersRows: (rows, { alpha, ...rest }) =>
    fastRows(rows, { beside: { alpha }, ...rest }) ??
    stepDistribution({ safety: logSoftmax(rows.safetyLogits), layers: logSoftmax(rows.helpfulLogits), alpha, ...rest }),
  expectRow(row, expected) {
    expect(row).toHaveLength(expected?.length ?? NaN);
    for (const [i, lp] of row.entries()) {
      // A log-probability of -1000 has its last digit at 1e-13.
      const close = Math.abs(lp - expected![i]!) <= 1e-13 * Math.max(1, Math.abs(lp));
      if (lp !== expected![i] && !close) expect.fail(`token ${i} has ${lp} instead of ${expected![i]}`);
    }
  },
  expectStep: (step, expected) => expect(step).toEqual(near(expected)),
  expectNumber: (x, expected, digits = 12) => expect(x).toBeCloseTo(expected, digits),
});

/** What a step has to be up to rounding. */
function near({ state, top, ...step }: Partial<GateStep>): Record<string, unknown> {
  // The largest numbers stand for infinities.
  const close = (x: number, digits: number) => (Math.abs(x) > 1e300 ? x : expect.closeTo(x, digits));
  const entries = Object.entries(step).map(([name, x]): [string, unknown] => {
    if (typeof x !== 'number' || ['token', 'weight', 'floor'].includes(name)) return [name, x];
    return [name, close(x, name === 'logprob' || name === 'spent' ? 11 : 6)];
  });
  return {
    ...Object.fromEntries(entries),
    ...(state && { state: { ...state, spent: close(state.spent, 11) } }),
    ...(top && { top: top.map(near) }),
  };
}

export const GATE_VERSIONS: readonly GateVersion[] = [plain, fast];
