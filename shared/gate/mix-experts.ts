/**
 * Mixes two experts into one distribution, in log space, on log-probabilities [vocabulary]. MidPO
 * (arXiv 2506.02460) adds the experts' adapters inside every layer, which does not bound the
 * output. Mixing the experts' outputs does. (The paper's way is the mode `layers`,
 * open-mixture.ts.)
 *
 *     geometric    log p = w*lp_s + (1-w)*lp_h - log Z     "mixing logits"; each expert has a veto
 *     arithmetic       p = w*p_s  + (1-w)*p_h              a coin with bias w decides who speaks
 *
 * What the weight promises, for every w in (0,1]:
 *
 *     arithmetic   KL(p_s||p) <= -log w                    since p >= w*p_s token by token
 *     geometric    KL(p||p_s) <= (1-w)/w * KL(p_s||p_h)    since p minimises
 *                                                          w*KL(.||p_s) + (1-w)*KL(.||p_h),
 *                                                          which is (1-w)*KL(p_s||p_h) at p_s
 *
 * The geometric bound is about the distribution in use. The arithmetic one is about what the safety
 * expert would have said. Neither bounds a whole answer: that is the budget's work
 * (cap-by-budget.ts).
 *
 * At weights 0 and 1, 0 * -Infinity would be NaN. So weight 1 *is* the safety expert's row and
 * weight 0 the other expert's, bit for bit, masks included. What the other row masks does not
 * matter there. In between, the geometric rule masks what either expert masks, and the arithmetic
 * rule masks only what both mask.
 */
import type { Rule } from '#shared/line/line.ts';
import { logSoftmax } from './log-softmax.ts';

export type Mixing = { weight: number; rule: Rule };

/** log p. null if the experts have no token in common and the rule is geometric. */
export function mixExperts(safety: Float64Array, helpful: Float64Array, mixing: Mixing): Float64Array | null {
  const blend = blendLogprobs(safety, helpful, mixing);
  // The arithmetic rule and both ends already sum to 1. Dividing again would cost them their
  // exactness.
  return mixing.rule === 'geometric' && mixing.weight > 0 && mixing.weight < 1 ? logSoftmax(blend) : blend;
}

/** log p before the division by Z. At the ends it returns the given row itself, not a copy. */
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

/**
 * log(e^a + e^b). The equal case is separate for two masked tokens, whose difference would be NaN.
 */
function logAddExp(a: number, b: number): number {
  if (a === b) return a + Math.LN2;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}
