/**
 * One step of decoding: two experts' logits in, one token out, with its account. The whole of the gate, and the only
 * way to a token; decode loops call this (in the mode `layers` its sibling gate-layers-step.ts) and nothing else of the folder.
 *
 *     let state = startGate();
 *     for (;;) {
 *       const step = gateStep({ safetyLogits, helpfulLogits, proposal, policy, sampling, state });
 *       state = step.state; // plain data: from here any backend can go on
 *     }
 *
 * The arrays handed in are read and not kept.
 */
import { addSpending, reportable } from './add-spending.ts';
import { checkState } from './check-inputs.ts';
import { drawToken } from './draw-token.ts';
import type { GatePolicy, GateState, GateStep, SamplingParams } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { type LogprobsInput, stepDistribution } from './step-distribution.ts';
import { uniformAt } from './uniform-at.ts';

export type GateStepInput = {
  /** [vocabulary] */
  safetyLogits: Float32Array;
  /** [vocabulary]; null is an expert that failed, or one that the policy's `safety_only` did not ask. */
  helpfulLogits: Float32Array | null;
  /** The router's share for the safety expert, 0..1. */
  proposal: number;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
};

/** The state before the first token; or, with an answer's position and spending so far, before the next one. */
export function startGate(position = 0, spent = 0): GateState {
  const state = { position, spent };
  checkState(state);
  return state;
}

/** @throws GateError where not even the safety expert can be drawn from; see gate-error.ts. */
export function gateStep({ safetyLogits, helpfulLogits, proposal, policy, sampling, state }: GateStepInput): GateStep {
  const [safety, helpful] = [readRow(safetyLogits), readRow(helpfulLogits)];
  return stepOnLogprobs({ safety, helpful, proposal, policy, sampling, state });
}

/** The same on rows that are log-probabilities already: what `gateStep` and its siblings have in common. */
export function stepOnLogprobs(input: LogprobsInput): GateStep {
  const { safety, sampling, state } = input;
  const { q, mixture, weight, floor, bound } = stepDistribution(input);
  const token = drawToken(q, uniformAt(sampling.key, state.position));
  const spends = (q.logprobs[token] ?? NaN) - (q.reference[token] ?? NaN);
  const spent = addSpending(state.spent, { spends, bound });
  return {
    token,
    weight,
    floor,
    logprobSafety: reportable(safety?.[token]),
    logprobHelpful: reportable('helpful' in input ? input.helpful?.[token] : undefined),
    logprob: reportable(sampling.temperature === 0 ? mixture[token] : q.logprobs[token]),
    spent,
    state: { position: state.position + 1, spent },
  };
}

/** A caller in plain JavaScript can leave a row out whatever the type says; that is a failed expert as well. */
export const readRow = (logits: Float32Array | null | undefined) => (logits ? logSoftmax(logits) : null);
