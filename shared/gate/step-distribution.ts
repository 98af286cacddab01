/**
 * Turns two experts' log-probabilities into the one distribution that a token may be drawn from. It
 * applies the weight, the mixture, the caller's shaping and the budget, in this order. It is pure:
 * it draws nothing and uses no random number.
 *
 * The gate closes whenever anything but the safety expert cannot be trusted. Closed means weight 1
 * and the safety expert sampled as requested. It closes on: no policy, or one with a number out of
 * range; a budget with nothing left; no row beside the safety expert's, or a NaN in it; a proposal
 * outside 0..1; a layers row that was not held to the line; experts without a token in common; a
 * mask or bias that leaves the mixture no token. It throws if the safety expert itself cannot be
 * used, or if a mask covers all of its tokens. There is no third way out.
 */
import { natsLeft, spendingBound } from './add-spending.ts';
import { capByBudget } from './cap-by-budget.ts';
import { checkSampling, checkState, usablePolicy } from './check-inputs.ts';
import type { DrawableDistribution } from './drawable-distribution.ts';
import { effectiveFloor } from './effective-weight.ts';
import { GateError } from './gate-error.ts';
import type { GatePolicy, GateState, SamplingParams } from './gate-types.ts';
import { greedyChoice } from './greedy-choice.ts';
import { keepTop } from './keep-top.ts';
import { type Beside, openMixture } from './open-mixture.ts';
import { shapeDistribution } from './shape-distribution.ts';

export type LogprobsInput = {
  /** log p_s, [vocabulary]. null if the row was no distribution. */
  safety: Float64Array | null;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
  /**
   * For truncated rows: the reference is the k likeliest tokens of the safety expert's row; see
   * truncated-rows.ts.
   */
  safetyTopK?: number;
} & Beside;

export type StepDistribution = {
  q: DrawableDistribution;
  /**
   * log p~, [vocabulary]: what q would be without a budget. At temperature 0, log p with mask and
   * bias.
   */
  mixture: Float64Array;
  weight: number;
  floor: number;
  /**
   * The most nats that may be spent up to and including this token. 0 if the policy is unusable.
   */
  bound: number | null;
};

export function stepDistribution(input: LogprobsInput): StepDistribution {
  const { safety, policy, sampling, state, safetyTopK = Infinity } = input;
  checkSampling(sampling);
  checkState(state);
  // Greedy decoding only compares log-probabilities. Neither a temperature nor a cut changes their
  // order.
  const greedy = sampling.temperature === 0;
  const shape = greedy ? { ...sampling, temperature: 1, topP: 1, topK: 0, minP: 0 } : sampling;
  // The reference gets everything that shapes the mixture except scale and bias. With them, a
  // client would choose what it is measured against.
  const { scale: _scale, bias: _bias, ...unbiased } = shape;
  const top = safety && keepTop(safety, safetyTopK);
  const reference = top && shapeDistribution(top, unbiased);
  if (!safety || !reference) throw new GateError('safety_row_unusable', 'the safety expert leaves no token to draw');

  const line = usablePolicy(policy);
  const bound = line ? spendingBound(line, state) : 0;
  const floor = line ? effectiveFloor(line, state) : 1;
  const left = natsLeft(bound, state);
  // If anything is missing here, only the safety expert is left. With no nats left, no other
  // distribution fits under the cap, whatever the mixture.
  const open = line && !(left !== null && left <= 0) ? openMixture(safety, input, { ...line, floor }) : null;
  const shaped = open && shapeDistribution(open.logprobs, shape);
  const weight = open && shaped ? open.weight : 1;
  const mixture = shaped ?? reference;

  const q = greedy
    ? greedyChoice(mixture, { safety: reference, natsLeft: left })
    : capByBudget(mixture, { reference, natsLeft: left });
  return { q, mixture, weight, floor, bound };
}
