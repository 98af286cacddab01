/**
 * The mixture that a token may be drawn from, and the safety expert's weight in it. There are two:
 *
 * - logits: both experts' rows are mixed here, at the weight that policy and proposal give
 *   (mix-experts.ts).
 * - layers: the model has mixed them itself, inside every layer (MidPO, arXiv 2506.02460), with the
 *   safety expert's share held between floor and ceiling there. The row *is* the mixture. Its
 *   weight is reported, not chosen.
 *
 * A bound inside the layers does not bound their output. So for a layers mixture the weight
 * promises little, and the budget has to promise everything: it works on the result, however that
 * was made. null means no mixture: the safety expert draws alone.
 */
import { isShare } from './check-inputs.ts';
import { effectiveWeight } from './effective-weight.ts';
import type { GatePolicy } from './gate-types.ts';
import { mixExperts } from './mix-experts.ts';

/**
 * What is mixed with the safety expert. Rows are log-probabilities, [vocabulary]. null is a row
 * that failed or was not asked for.
 */
export type Beside =
  /** The helpfulness expert, and the share that the router proposes for the safety expert. */
  | { helpful: Float64Array | null; proposal: number }
  /** The layers row, and the safety expert's gate in it: the mean over the layers. */
  | { layers: Float64Array | null; alpha: number };

type Mixture = { logprobs: Float64Array; weight: number };

/** @param line the policy, with its floor raised to the one at this position */
export function openMixture(
  safety: Float64Array,
  beside: Beside,
  line: Pick<GatePolicy, 'floor' | 'ceiling' | 'rule'>,
): Mixture | null {
  const inLayers = 'layers' in beside;
  const weight = openWeight(beside, line);
  const row = inLayers ? beside.layers : beside.helpful;
  if (weight === 1 || row?.length !== safety.length) return null;
  const logprobs = inLayers ? row : mixExperts(safety, row, { weight, rule: line.rule });
  return logprobs && { logprobs, weight };
}

/** The safety expert's weight in the mixture. 1 if whatever proposes it cannot be trusted. */
export function openWeight(
  beside: { proposal: number } | { alpha: number },
  line: Pick<GatePolicy, 'floor' | 'ceiling'>,
): number {
  return 'alpha' in beside ? heldWeight(beside.alpha, line) : effectiveWeight(beside.proposal, line);
}

/**
 * Gates are float32, and taking their mean rounds. So the mean may miss the bounds by this much,
 * even if every gate kept them.
 */
const ROUNDING = 1e-6;

/**
 * The weight of a layers row: alpha without its rounding. If alpha misses the bounds by more than
 * rounding, the row was not held to this line and alpha cannot be trusted. Then, as for a broken
 * proposal, the weight is 1.
 */
export function heldWeight(alpha: number, { floor, ceiling }: { floor: number; ceiling: number }): number {
  const most = Math.max(floor, ceiling);
  const held = isShare(alpha) && alpha >= floor - ROUNDING && alpha <= most + ROUNDING;
  return held ? Math.max(floor, Math.min(alpha, most)) : 1;
}
