/**
 * Two experts into one distribution, in log space, on log-probabilities [vocabulary]. MidPO (arXiv 2506.02460) adds the
 * experts' adapters inside every layer, which bounds nothing on the output; mixing what they say has bounds. (The paper's
 * way is the mode `layers`, open-mixture.ts.)
 *
 *     geometric    log p = w*lp_s + (1-w)*lp_h - log Z       "mixing logits"; each expert has a veto
 *     arithmetic       p = w*p_s  + (1-w)*p_h                a coin with bias w decides who speaks
 *
 * What the weight promises, for every w in (0,1]:
 *
 *     arithmetic   KL(p_s||p) <= -log w                      since p >= w*p_s token by token
 *     geometric    KL(p||p_s) <= (1-w)/w * KL(p_s||p_h)      since p minimises w*KL(.||p_s) + (1-w)*KL(.||p_h),
 *                                                            whose value at p_s is (1-w)*KL(p_s||p_h)
 *
 * The geometric bound is about the distribution that is used, the arithmetic one about what the safety expert would
 * have said; neither bounds a whole answer, which is the budget's work (cap-by-budget.ts).
 *
 * 0 * -Infinity is decided by the ends: weight 1 *is* the safety expert's row and weight 0 the other's, bit for bit,
 * masks included, and whatever the other row masks does not matter. In between, the geometric rule masks what either
 * expert masks, and the arithmetic rule what both do.
 */
import type { Rule } from '#shared/line/line.ts';
import { logSoftmax } from './log-softmax.ts';

export type Mixing = { weight: number; rule: Rule };

/** log p, or null where the geometric rule is left with no token because the experts have none in common. */
export function mixExperts(safety: Float64Array, helpful: Float64Array, mixing: Mixing): Float64Array | null {
  const blend = blendLogprobs(safety, helpful, mixing);
  // The arithmetic rule and both ends sum to 1 as they are, and dividing again would cost them their exactness.
  return mixing.rule === 'geometric' && mixing.weight > 0 && mixing.weight < 1 ? logSoftmax(blend) : blend;
}

/** log p before the division by Z. At the ends the very row that was given, not a copy. */
export function blendLogprobs(safety: Float64Array, helpful: Float64Array, { weight, rule }: Mixing): Float64Array {
  if (weight === 1) return safety;
  if (weight === 0) return helpful;
  const blend = new Float64Array(safety.length);
  const [logWeight, logRest] = [Math.log(weight), Math.log1p(-weight)];
  for (let i = 0; i < blend.length; i++) {
    const [lpS, lpH] = [safety[i] ?? NaN, helpful[i] ?? NaN];
    blend[i] = rule === 'geometric' ? weight * lpS + (1 - weight) * lpH : logAddExp(logWeight + lpS, logRest + lpH);
  }
  return blend;
}

/** log(e^a + e^b). The equal case is apart for the sake of two masked tokens, whose difference would be NaN. */
function logAddExp(a: number, b: number): number {
  if (a === b) return a + Math.LN2;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}
