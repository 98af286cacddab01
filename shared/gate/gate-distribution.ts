/**
 * From two experts' log-probabilities to the one distribution that a token may be drawn from: the weight, the mixture,
 * the caller's shaping, the budget, in this order. Pure: it knows no position's random number and draws nothing.
 *
 * It closes, which is to say weight 1 and the safety expert sampled as asked, wherever anything but the safety expert
 * cannot be trusted: no policy or one with a number out of range, no helpfulness row, a NaN in it, a proposal that is
 * no share, experts without a token in common, a bias that leaves the mixture nothing. It throws where the safety
 * expert itself cannot be used. There is no third way out.
 */
import { natsLeft } from './add-spending.ts';
import { capByBudget } from './cap-by-budget.ts';
import { checkSampling, checkState, usablePolicy } from './check-inputs.ts';
import { effectiveFloor, effectiveWeight } from './effective-weight.ts';
import { GateError } from './gate-error.ts';
import type { GatePolicy, GateState, SamplingParams } from './gate-types.ts';
import type { GatedDistribution } from './gated-distribution.ts';
import { greedyChoice } from './greedy-choice.ts';
import { mixExperts } from './mix-experts.ts';
import { shapeDistribution } from './shape-distribution.ts';

export type GateInput = {
  /** log p_s, [vocabulary]; null is a row that was no distribution. */
  safety: Float64Array | null;
  /** log p_h, [vocabulary]; null is an expert that failed or was not asked. */
  helpful: Float64Array | null;
  /** The router's share for the safety expert. */
  proposal: number;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
};

export type Gated = {
  q: GatedDistribution;
  /** log p~, [vocabulary]: what q would be without a budget. At temperature 0, log p with the caller's bias. */
  mixture: Float64Array;
  weight: number;
  floor: number;
  /** K of a policy that can be used, else 0. */
  budget: number | null;
};

export function gateDistribution({ safety, helpful, proposal, policy, sampling, state }: GateInput): Gated {
  checkSampling(sampling);
  checkState(state);
  // Greedy compares log-probabilities, which neither a temperature nor a nucleus would put in another order.
  const greedy = sampling.temperature === 0;
  const shape = greedy ? { ...sampling, temperature: 1, topP: 1 } : sampling;
  const reference = safety && shapeDistribution(safety, shape);
  if (!safety || !reference) throw new GateError('safety_row_unusable', 'the safety expert leaves no token to draw');

  const line = usablePolicy(policy);
  const budget = line ? line.budget : 0;
  const floor = line ? effectiveFloor(line, state) : 1;
  const mixing = line && { weight: effectiveWeight(proposal, { floor, ceiling: line.ceiling }), rule: line.rule };
  // Whatever is missing here leaves the safety expert alone.
  const open = mixing && mixing.weight < 1 && helpful?.length === safety.length;
  const mixed = open ? mixExperts(safety, helpful, mixing) : null;
  const shaped = mixed && shapeDistribution(mixed, shape);
  const weight = mixing && shaped ? mixing.weight : 1;
  const mixture = shaped ?? reference;

  const left = natsLeft(budget, state);
  const q = greedy
    ? greedyChoice(mixture, { safety: reference, natsLeft: left })
    : capByBudget(mixture, { reference, natsLeft: left });
  return { q, mixture, weight, floor, budget };
}
