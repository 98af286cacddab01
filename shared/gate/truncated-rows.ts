/**
 * The gate on truncated rows: the union U of each expert's k likeliest tokens, with both experts'
 * log-probabilities of every token in U. This is for experts that live in different places, where
 * sending a whole row per token is too much. The edge draws from such rows, after pair-rows.ts has
 * filled in what two experts in different places cannot know of each other. No engine in service
 * returns truncated rows to a backend yet, and only tests call `truncationBound`.
 *
 * The mixture is made on U, each expert conditional on U. The reference is the safety expert under
 * its own top-k, which U holds by construction. With the same sampling (in this order: top-k = k,
 * masks, temperature, the request's own top-k, top-p and min-p), it equals the whole safety expert
 * sampled with top-k = k, whatever the other expert put into U. So for every answer y, with p_s~
 * the whole safety expert under top-k = k,
 *
 *     q(y) <= e^K * p_s~(y)
 *
 * without exception, even if U differs at every step. Tokens of U outside the safety expert's k
 * have probability 0 in the reference: they are drawn only without a budget. (If the reference were
 * conditional on U, the other expert's choice of tokens would move it, and the promise would have
 * no fixed reference.) Truncate with the mask in mind: if the mask leaves none of the k tokens,
 * there is nothing to draw.
 *
 * `truncationBound` says how far this can be from whole rows. It needs the mass tau_s, tau_h that
 * each expert has outside U. That mass need not be sent, because it is what the probabilities on U
 * leave of 1.
 */
import { reportable } from './add-spending.ts';
import { checkSampling } from './check-inputs.ts';
import { GateError } from './gate-error.ts';
import { type GateStepInput, stepOnLogprobs } from './gate-step.ts';
import type { GateStep } from './gate-types.ts';
import { isAllowed } from './is-allowed.ts';
import { keepTop } from './keep-top.ts';
import { largest, logSoftmax } from './log-softmax.ts';
import { blendLogprobs, type Mixing } from './mix-experts.ts';
import type { LogprobsInput } from './step-distribution.ts';

export type TruncatedRows = {
  /** Token ids, ascending, [U]. The draw walks through them in this order. */
  ids: Int32Array;
  /** log p_s of the whole row at these ids, not renormalised, [U]. */
  safetyLogprobs: Float64Array;
  /** log p_h of the whole row, in the same way, [U]. null if the expert failed. */
  helpfulLogprobs: Float64Array | null;
  /**
   * k: U holds at least each expert's k likeliest tokens (among equals, the lowest ids), or all
   * there are.
   */
  topK: number;
};

type TruncatedStepInput = Omit<GateStepInput, 'safetyLogits' | 'helpfulLogits'> & { rows: TruncatedRows };

/**
 * `gateStep` on truncated rows. Token ids in mask, bias and answer are those of the whole
 * vocabulary.
 */
export function gateTruncatedStep(input: TruncatedStepInput): GateStep {
  const { ids, safetyLogprobs, helpfulLogprobs } = input.rows;
  const onUnion = inputOnUnion(input);
  const step = stepOnLogprobs(onUnion);
  // The experts' own numbers are those of the whole rows.
  const inVocabulary = (place: number) => ({
    token: ids[place] ?? NaN,
    logprobSafety: reportable(safetyLogprobs[place]),
    logprobHelpful: reportable(onUnion.helpful ? helpfulLogprobs?.[place] : undefined),
  });
  const top = step.top?.map(({ token, logprob }) => {
    const { token: id, ...own } = inVocabulary(token);
    return { token: id, logprob, ...(input.report?.experts && own) };
  });
  return { ...step, ...inVocabulary(step.token), ...(top && { top }) };
}

/** What the gate gets: rows over U, where token i is the i-th of the ids. */
export function inputOnUnion({ rows, sampling, ...rest }: TruncatedStepInput) {
  const { ids, safetyLogprobs, helpfulLogprobs, topK } = rows;
  checkRows(rows);
  // We check before leaving out ids, because a mistake about a token outside U is still a mistake.
  checkSampling(sampling);
  const places = Array.from(ids.keys());
  const { mask: forbidden, allowed, ...asked } = sampling;
  const isMasked = (id: number) => forbidden?.has(id) || (allowed && !isAllowed(allowed, id));
  const mask = new Set(places.filter((i) => isMasked(ids[i] ?? NaN)));
  const biasAt = (i: number) => sampling.bias?.get(ids[i] ?? NaN) ?? 0;
  const bias = new Map(places.filter((i) => biasAt(i) !== 0).map((i) => [i, biasAt(i)]));
  const scaleAt = (i: number) => sampling.scale?.get(ids[i] ?? NaN) ?? 1;
  const scale = new Map(places.filter((i) => scaleAt(i) !== 1).map((i) => [i, scaleAt(i)]));
  return {
    ...rest,
    safety: logSoftmax(safetyLogprobs),
    helpful: helpfulLogprobs && logSoftmax(helpfulLogprobs),
    safetyTopK: topK,
    sampling: { ...asked, mask, scale, bias },
  } satisfies LogprobsInput;
}

/**
 * How far the truncated p~ and p_s~ can be from those of whole rows without any top-k. It holds at
 * temperature T > 0, without mask and bias, and before the budget. It also holds only before top-p:
 * at the edge of a nucleus a token may fall on either side, so nothing like this is true after it.
 *
 *     tail(tau) = tau^(1/T) * max(1, V - |U|)^max(0, 1 - 1/T)
 *                 the most that p^(1/T) can sum to outside U
 *     tau_p     = tau_s^w * tau_h^(1-w)  |  w*tau_s + (1-w)*tau_h
 *                 p's mass outside U: Hölder | exactly
 *     x         = tail(tau_p) / (tail(tau_p) + sum_U p^(1/T))
 *                 p~'s mass outside U, at most
 *     r         = 0  |  |log(1 - tau_s) - log(1 - tau_h)|
 *                 how unevenly conditioning on U scales p
 *
 *     totalVariation = x + (1 - x) * (1 - exp(-r/T))    of p~
 *     nats           = log(1 + (tail(tau_s) + sum_U\S p_s^(1/T)) / sum_S p_s^(1/T))
 *
 * (geometric | arithmetic.) S is the safety expert's k tokens. `nats` is the most by which log p_s~
 * grows on those tokens. The promise against the safety expert under top-k needs no such number.
 * Against the safety expert without any top-k, the promise holds up to `nats` per token. If the
 * gate is closed, p~ is p_s~ and its totalVariation is 1 - exp(-nats).
 *
 * @public
 */
export function truncationBound(
  { ids, safetyLogprobs: safety, helpfulLogprobs: helpful, topK }: TruncatedRows,
  { weight, rule, temperature, vocabulary }: Mixing & { temperature: number; vocabulary: number },
): { totalVariation: number; nats: number } {
  const outside = vocabulary - ids.length;
  const massLeft = (row: Float64Array) => (outside === 0 ? 0 : massOutside(row));
  // We work in logs, here and below, because at low temperatures both the tail and the mass inside
  // U underflow.
  const logTail = (tau: number) =>
    Math.log(tau) / temperature + Math.max(0, 1 - 1 / temperature) * Math.log(Math.max(1, outside));

  const tauS = massLeft(safety);
  const kept = keepTop(safety, topK);
  const [inTop, beside] = [safety.filter((_, i) => isKept(kept, i)), safety.filter((_, i) => !isKept(kept, i))];
  const top = logSumHeated(inTop, temperature);
  const lost = Math.exp(logTail(tauS) - top) + Math.exp(logSumHeated(beside, temperature) - top);
  const nats = Math.log1p(lost);
  const open =
    helpful && weight < 1 ? logSumHeated(blendLogprobs(safety, helpful, { weight, rule }), temperature) : null;
  // The gate is closed: by the weight, by a failed expert, or because whole rows have no token in
  // common.
  if (!helpful || open === null || (outside === 0 && open === -Infinity))
    return { totalVariation: -Math.expm1(-nats), nats };

  const tauH = massLeft(helpful);
  const tauP = rule === 'geometric' ? tauS ** weight * tauH ** (1 - weight) : weight * tauS + (1 - weight) * tauH;
  const p = Math.exp(logTail(tauP) - open);
  const x = p === Infinity ? 1 : p / (1 + p);
  const r = rule === 'arithmetic' && weight > 0 ? Math.abs(Math.log1p(-tauS) - Math.log1p(-tauH)) : 0;
  return { totalVariation: x + (1 - x) * -Math.expm1(-r / temperature), nats };
}

const isKept = (kept: Float64Array | null, i: number): boolean => (kept?.[i] ?? -Infinity) > -Infinity;

/**
 * An upper bound on one expert's tau. It is a difference of two nearly equal sums, so their
 * rounding is added.
 */
function massOutside(logprobs: Float64Array): number {
  const inside = logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);
  return Math.min(1, Math.max(0, 1 - inside) + logprobs.length * Number.EPSILON);
}

/**
 * log sum exp(lp / T). -Infinity if every token is masked, which can happen under the geometric
 * rule.
 */
function logSumHeated(logprobs: Float64Array, temperature: number): number {
  const max = largest(logprobs);
  if (max === -Infinity) return -Infinity;
  return max / temperature + Math.log(logprobs.reduce((sum, lp) => sum + Math.exp((lp - max) / temperature), 0));
}

/** How far the sum of a whole row may be from 1, since its log-probabilities were once float32. */
const WHOLE = 1e-5;

function checkRows({ ids, safetyLogprobs, helpfulLogprobs, topK }: TruncatedRows): void {
  const ascending = ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? NaN));
  const asMany = [safetyLogprobs, helpfulLogprobs ?? safetyLogprobs].every((row) => row.length === ids.length);
  if (!ascending || !asMany) {
    throw new GateError('truncated_rows_invalid', 'truncated rows need ascending ids and a log-probability for each');
  }
  // Fewer than k tokens count as the top k only if they are all that the safety expert has.
  const holdTop =
    Number.isSafeInteger(topK) && topK >= 1 && (ids.length >= topK || massOutside(safetyLogprobs) < WHOLE);
  if (holdTop) return;
  throw new GateError('truncated_rows_invalid', `${ids.length} tokens cannot hold the ${topK} likeliest`);
}
