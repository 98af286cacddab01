/**
 * Pairs the truncated rows of two experts that do not know each other: each has its own k likeliest
 * tokens, and says how much mass it has left out. What an expert gives the other one's tokens is
 * not known then, and asking again would cost a round trip for every token. So whatever is not
 * known is filled in, in the one way for which the gate's laws hold whatever the truth is:
 *
 *     S, H        the tokens of either row;  U = S + H
 *     p_s'        p_s on S, divided by its sum; 0 outside. The reference: the safety expert under
 *                 its own top-k
 *     p_h'        p_h on H. The mass tau_h that it left out goes to the safety expert's own other
 *                 tokens, S \ H, in proportion to p_s; if there are none, to all of H
 *
 * - Budget: the reference is p_s', which no choice of p_h' moves. So q(y) <= e^K * p_s'(y) for
 *   every answer. A token outside S has reference 0, and is never drawn under a budget.
 * - Floor, arithmetic: p = w*p_s' + (1-w)*p_h' >= w*p_s', so KL(p_s'||p) <= -log w.
 * - Floor, geometric: KL(p||p_s') <= (1-w)/w * KL(p_s'||p_h) for **every** p_h that has these
 *   values on H and the mass tau_h outside it. For p minimises w*KL(.||p_s') + (1-w)*KL(.||p_h'),
 *   and that is at most (1-w)*KL(p_s'||p_h') at p_s'. And no way to spread tau_h makes the sum over
 *   S of p_s' * log p_h larger than this one (Gibbs), so KL(p_s'||p_h') <= KL(p_s'||p_h).
 * - Weight 1 is p_s' itself.
 *
 * The obvious choice, 0 for what is not known, would break the third law: a word of refusal that is
 * not among the helpfulness expert's k likeliest would be ruled out by that expert, at any weight
 * below 1.
 */
import { GateError } from './gate-error.ts';
import type { TruncatedRows } from './truncated-rows.ts';

/** One expert's own k likeliest tokens. */
export type OwnRow = {
  /** Ascending, [k]. */
  ids: Int32Array;
  /** log p of the whole row at these ids, not renormalised, [k]. */
  logprobs: Float64Array;
  /** The mass of all other tokens, 0..1. */
  left: number;
};

/**
 * @param topK k: a row has that many tokens, or all that its expert has
 * @param helpful null if that expert failed or was not asked. A row that makes no sense counts as
 *   failed. A safety row that makes none throws a GateError.
 */
export function pairRows(safety: OwnRow, helpful: OwnRow | null, { topK }: { topK: number }): TruncatedRows {
  if (!isSound(safety, topK)) {
    throw new GateError('truncated_rows_invalid', 'the safety expert sent a row that is no distribution');
  }
  const beside = helpful !== null && isSound(helpful, topK) ? helpful : null;
  const ids = beside === null ? safety.ids : Int32Array.from(new Set([...safety.ids, ...beside.ids])).sort();
  const ownSafety = lookUp(safety);
  const safetyLogprobs = Float64Array.from(ids, (id) => ownSafety(id) ?? -Infinity);
  if (beside === null) return { ids, safetyLogprobs, helpfulLogprobs: null, topK };
  return { ids, safetyLogprobs, helpfulLogprobs: filledIn(ids, safetyLogprobs, beside), topK };
}

/** log p_h' at these ids. */
function filledIn(ids: Int32Array, safetyLogprobs: Float64Array, helpful: OwnRow): Float64Array {
  const own = lookUp(helpful);
  const left = Math.max(0, Math.min(1, helpful.left));
  let unknown = 0;
  for (const [i, id] of ids.entries()) if (own(id) === undefined) unknown += Math.exp(safetyLogprobs[i] ?? NaN);
  const logShare = Math.log(left) - Math.log(unknown);
  // Where the safety expert has no other token, dividing by the sum (the gate does) spreads it.
  return Float64Array.from(ids, (id, i) => {
    const known = own(id);
    if (known !== undefined) return known;
    return left > 0 && unknown > 0 ? logShare + (safetyLogprobs[i] ?? NaN) : -Infinity;
  });
}

function lookUp({ ids, logprobs }: OwnRow): (id: number) => number | undefined {
  const places = new Map(Array.from(ids, (id, i) => [id, i]));
  return (id) => {
    const place = places.get(id);
    return place === undefined ? undefined : logprobs[place];
  };
}

/** How far a row and what it left out may be from 1 together: its numbers were once float32. */
const WHOLE = 1e-3;

function isSound({ ids, logprobs, left }: OwnRow, topK: number): boolean {
  const ascending = ids.every((id, i) => id >= 0 && (i === 0 || id > (ids[i - 1] ?? NaN)));
  let sum = left;
  for (const lp of logprobs) sum += lp <= WHOLE ? Math.exp(lp) : NaN;
  // Fewer than k tokens are the k likeliest only if nothing is left.
  const isTop = ids.length === topK || (ids.length > 0 && ids.length < topK && left <= WHOLE);
  return isTop && ids.length === logprobs.length && ascending && left >= 0 && Math.abs(sum - 1) <= WHOLE;
}
