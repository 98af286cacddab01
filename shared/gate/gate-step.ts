/**
 * One step of decoding: two experts' logits go in, and one token with its account comes out. This
 * is the whole gate and the only way to a token. Decode loops call this (or, in the mode `layers`,
 * its sibling in gate-layers-step.ts) and nothing else in the folder.
 *
 *     let state = startGate();
 *     for (;;) {
 *       const step = gateStep({ safetyLogits, helpfulLogits, proposal, policy, sampling, state });
 *       state = step.state; // plain data: any backend can carry on from here
 *     }
 *
 * It reads the arrays and does not keep them.
 */
import { addSpending, reportable } from './add-spending.ts';
import { checkReport, checkState } from './check-inputs.ts';
import { drawToken } from './draw-token.ts';
import type { GatePolicy, GateState, GateStep, Report, SamplingParams } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { type LogprobsInput, stepDistribution } from './step-distribution.ts';
import { topTokens } from './top-tokens.ts';
import { uniformAt } from './uniform-at.ts';

export type GateStepInput = {
  /** [vocabulary] */
  safetyLogits: Float32Array;
  /**
   * [vocabulary]. null if the expert failed, or was not asked because the policy says
   * `safety_only`.
   */
  helpfulLogits: Float32Array | null;
  /** The share that the router proposes for the safety expert, 0..1. */
  proposal: number;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
  /** Asks for more numbers in the step. They change nothing that is drawn. */
  report?: Report;
  /**
   * false if nobody reads `logprobSafety` and `logprobHelpful`. The fast gate then saves a sum over
   * each row, and both are LOG_ZERO. The plain gate has them anyway.
   */
  ownLogprobs?: boolean;
};

/**
 * The state before the first token. If an answer's position and spending so far are given, the
 * state before the next token.
 */
export function startGate(position = 0, spent = 0): GateState {
  const state = { position, spent };
  checkState(state);
  return state;
}

/** @throws GateError if not even the safety expert can be drawn from; see gate-error.ts */
export function gateStep({ safetyLogits, helpfulLogits, ...rest }: GateStepInput): GateStep {
  return stepOnLogprobs({ safety: readRow(safetyLogits), helpful: readRow(helpfulLogits), ...rest });
}

/** The same for rows that are already log-probabilities: what `gateStep` and its siblings share. */
export function stepOnLogprobs(input: LogprobsInput & { report?: Report }): GateStep {
  const { safety, sampling, state, report } = input;
  checkReport(report);
  const { q, mixture, weight, floor, bound } = stepDistribution(input);
  const token = drawToken(q, uniformAt(sampling.key, state.position));
  const spends = (q.logprobs[token] ?? NaN) - (q.reference[token] ?? NaN);
  const spent = addSpending(state.spent, { spends, bound });
  const own = (token: number) => ({
    logprobSafety: reportable(safety?.[token]),
    logprobHelpful: reportable('helpful' in input ? input.helpful?.[token] : undefined),
  });
  const reported = sampling.temperature === 0 ? mixture : q.logprobs;
  return {
    token,
    weight,
    floor,
    ...own(token),
    logprob: reportable(reported[token]),
    spent,
    state: { position: state.position + 1, spent },
    ...(report && { top: topTokens(reported, { report, own }) }),
  };
}

/**
 * A caller in plain JavaScript can leave a row out despite the type. That counts as a failed expert
 * too.
 */
export const readRow = (logits: Float32Array | null | undefined) => (logits ? logSoftmax(logits) : null);
