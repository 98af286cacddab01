/**
 * `gateStep` without the safety expert's row, for a line under which that row changes nothing: the
 * safety expert has no share of the token, and no budget is counted against it. The distribution is
 * then the helpfulness expert's own, and the token is the one that `gateStep` draws from both rows
 * and the same proposal. (A router that compares the experts cannot be asked with one row. Callers
 * then propose 1, which a ceiling of 0 clamps to 0. With both rows, a router that gives NaN would
 * close the gate.)
 *
 *     const step = gateHelpfulStep({ helpfulLogits, proposal, policy, sampling, state });
 *
 * `gateStep` falls back on the safety expert if the other row cannot be trusted. Here there is
 * nothing to fall back on, so this throws instead: if the line needs the safety expert after all,
 * if the row is missing or has a NaN, or if mask and bias leave no token.
 *
 * What the safety expert would have said is unknown, so the answer counts as unbounded spending.
 */
import { LOG_ZERO, SPENT_UNBOUNDED } from './add-spending.ts';
import { usablePolicy } from './check-inputs.ts';
import { effectiveFloor, effectiveWeight } from './effective-weight.ts';
import { GateError } from './gate-error.ts';
import { type GateStepInput, readRow, stepOnLogprobs } from './gate-step.ts';
import type { GatePolicy, GateState, GateStep } from './gate-types.ts';
import type { LogprobsInput } from './step-distribution.ts';

export type HelpfulStepInput = Omit<GateStepInput, 'safetyLogits' | 'helpfulLogits'> & {
  /** [vocabulary]. null if the expert failed. */
  helpfulLogits: Float32Array | null;
};

/** @throws GateError as said above, and as `gateStep` does for sampling or a state without sense */
export function gateHelpfulStep({ helpfulLogits, policy, proposal, ...rest }: HelpfulStepInput): GateStep {
  if (!leavesSafetyOut(policy, { proposal, state: rest.state })) {
    throw new GateError('safety_row_missing', 'the line needs the safety expert, and there is no row of it');
  }
  const helpful = readRow(helpfulLogits);
  if (!helpful) throw unusable();
  // The row stands in for the safety expert's. Nothing is measured against it: at weight 0 and
  // without a budget, that row only serves a gate that closes.
  const step = drawAlone({ safety: helpful, helpful, proposal, policy, ...rest });
  if (step.weight !== 0) throw unusable();
  const spent = SPENT_UNBOUNDED;
  const unknown = { logprobSafety: LOG_ZERO };
  const top = step.top?.map((token) => ({ ...token, ...('logprobSafety' in token && unknown) }));
  return { ...step, ...unknown, spent, state: { ...step.state, spent }, ...(top && { top }) };
}

/** Whether `gateStep` would not use the safety expert's row for the token at this position. */
export function leavesSafetyOut(
  policy: GatePolicy,
  { proposal, state }: { proposal: number; state: GateState },
): boolean {
  const line = usablePolicy(policy);
  if (line?.budget !== null || line.earned !== null) return false;
  return effectiveWeight(proposal, { ...line, floor: effectiveFloor(line, state) }) === 0;
}

function drawAlone(input: LogprobsInput & Pick<GateStepInput, 'report'>): GateStep {
  try {
    return stepOnLogprobs(input);
  } catch (thrown) {
    throw thrown instanceof GateError && thrown.code === 'safety_row_unusable' ? unusable() : thrown;
  }
}

const unusable = () =>
  new GateError('helpful_row_unusable', 'the helpfulness expert, the only one asked, leaves no token to draw');
