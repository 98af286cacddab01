/**
 * Turns the predictions of two experts into one gated token, whichever kind of rows they give. The
 * safety expert's is there unless the line gives it no part in the answer: the budget is counted
 * against it, the receipt reports it, and a closed gate falls back on it.
 */
import { createGate } from '#shared/gate/fast/create-gate.ts';
import {
  GateError,
  type GatePolicy,
  type GateState,
  type GateStep,
  gateTruncatedStep,
  type Report,
  type SamplingParams,
  type TruncatedRows,
} from '#shared/gate/index.ts';
import type { Mode } from '#shared/line/line.ts';
import type { Prediction, Row, TruncatedRow } from './experts.ts';

/**
 * The safety weight proposed for a token in `logits` mode, before the policy's floor and ceiling
 * bound it. It is either one number for all tokens, or what a logits router computes from both
 * rows' last hidden states [d].
 */
export type Proposal = number | ((safetyHidden: Float32Array, helpfulHidden: Float32Array) => number);

export type Question = {
  mode: Mode;
  /** null if it was not asked. The gate makes sure that the line permits that. */
  safety: Prediction | null;
  /**
   * The helpfulness expert's prediction, or the mixture's in `layers` mode. null if it failed or
   * was not asked.
   */
  beside: Prediction | null;
  proposal: Proposal;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
  /** Asks for more numbers. */
  report?: Report;
  /** false if nobody reads what each expert itself gives the token. */
  ownLogprobs?: boolean;
};

/** One gate for all answers: a step is over before the next begins. */
const gate = createGate();

/**
 * Throws a GateError if there is nothing safe to draw from. If `beside` cannot be trusted, the gate
 * closes.
 */
export function askGate({ mode, safety, beside, proposal, ...rest }: Question): GateStep {
  if (!safety) return askHelpful({ mode, beside, proposal, ...rest });
  // NaN is not a share of anything, so it closes the gate.
  const alpha = beside?.alpha ?? Number.NaN;
  if (!('logits' in safety.row)) {
    const helpful = mode === 'layers' ? null : beside;
    return gateTruncatedStep({
      rows: truncatedRows(safety.row, helpful?.row ?? null),
      proposal: propose(proposal, safety, helpful),
      ...rest,
    });
  }
  const safetyLogits = safety.row.logits;
  const logits = beside && 'logits' in beside.row ? beside.row.logits : null;
  return mode === 'layers'
    ? gate.layersStep({ safetyLogits, layersLogits: logits, alpha, ...rest })
    : gate.step({ safetyLogits, helpfulLogits: logits, proposal: propose(proposal, safety, beside), ...rest });
}

function askHelpful({ mode, beside, proposal, ...rest }: Omit<Question, 'safety'>): GateStep {
  if (mode !== 'logits') throw new GateError('safety_row_missing', `the mode ${mode} needs the safety expert`);
  const helpfulLogits = beside && 'logits' in beside.row ? beside.row.logits : null;
  // A router compares both experts, so it cannot be asked. It proposes 1 at most, and the ceiling
  // makes 0 of that. `gate.step` closes where a router gives NaN; this does not find out.
  return gate.helpfulStep({ helpfulLogits, proposal: typeof proposal === 'number' ? proposal : 1, ...rest });
}

/**
 * Pairs two truncated rows. If their ids differ, the driver did not truncate them together, so the
 * second one counts as a failed expert.
 */
function truncatedRows({ ids, logprobs, topK }: TruncatedRow, beside: Row | null): TruncatedRows {
  const met =
    beside && 'ids' in beside && beside.ids.length === ids.length && beside.ids.every((id, i) => id === ids[i]);
  return { ids, safetyLogprobs: logprobs, helpfulLogprobs: met ? beside.logprobs : null, topK };
}

/** The safety weight proposed after these predictions; NaN if a router lacks one of them. */
export function propose(proposal: Proposal, safety: Prediction | null, helpful: Prediction | null): number {
  if (typeof proposal === 'number') return proposal;
  return safety?.hidden && helpful?.hidden ? proposal(safety.hidden, helpful.hidden) : Number.NaN;
}
