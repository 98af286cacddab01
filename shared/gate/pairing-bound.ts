/**
 * How far the mixture of two paired rows (pair-rows.ts) can be from the mixture of the whole rows,
 * which nobody here has seen. At temperature 1, without top-p, mask and bias, and before the
 * budget:
 *
 *     A = S intersected with H, the tokens that both experts told
 *
 *     arithmetic: w*tau_s + (1-w)*tau_h
 *                 p_s' moves the mass tau_s, p_h' the mass tau_h
 *     geometric:  x / (x + Z),  Z = sum over A of p_s^w * p_h^(1-w)
 *                               x = (1 - p_s(A))^w * (1 - p_h(A))^(1-w)
 *                 On A both mixtures are the same up to a factor, and by Hölder's inequality x is
 *                 the most that either has outside A, relative to Z
 *
 * It is a total variation: the largest difference that any set of tokens can show. The budget's
 * promise needs no such number; this is what truncation costs the answer, not its safety.
 */
import type { Mixing } from './mix-experts.ts';
import type { OwnRow } from './pair-rows.ts';

/** @returns total variation, 0..1 */
export function pairingBound(safety: OwnRow, helpful: OwnRow, { weight, rule }: Mixing): number {
  if (weight === 1) return Math.min(1, safety.left);
  if (rule === 'arithmetic') return Math.min(1, weight * safety.left + (1 - weight) * helpful.left);
  const theirs = new Map(Array.from(helpful.ids, (id, i) => [id, helpful.logprobs[i] ?? NaN]));
  let [z, safetyInside, helpfulInside] = [0, 0, 0];
  for (const [i, id] of safety.ids.entries()) {
    const [ps, ph] = [safety.logprobs[i] ?? NaN, theirs.get(id)];
    if (ph === undefined) continue;
    safetyInside += Math.exp(ps);
    helpfulInside += Math.exp(ph);
    // At weight 0, minus infinity counts for nothing.
    z += Math.exp((weight === 0 ? 0 : weight * ps) + (1 - weight) * ph);
  }
  const outside = (inside: number) => Math.max(0, 1 - inside);
  const x = outside(safetyInside) ** weight * outside(helpfulInside) ** (1 - weight);
  return x === 0 ? 0 : x / (x + z);
}
