/**
 * Anchored Decoding (He et al., arXiv 2602.07120), with our safety expert as the anchor and the
 * helpfulness expert as the model that is held near it. Of all distributions within `k_t` nats of
 * the anchor, it draws from the one nearest to the other model:
 *
 *     min KL(q || p_h)  such that  KL(q || p_s) <= k_t,     so  q ~ p_s^(1 - theta) p_h^theta
 *     k_t = max(0, k * (t + 1) - debt - spent),     spent += KL(q || p_s)
 *
 * with t from 0. What a token leaves of its allowance, later tokens may spend. The prefix debt is
 * the mean of the (at most) five largest positive log-ratios log p_h - log p_s in the prompt: where
 * the prompt already tells the two apart, the answer starts in debt. Temperature and mask shape
 * both experts before this. The nucleus is cut from q afterwards, because two nuclei may have
 * nothing in common. `spent` is measured before that cut.
 *
 * What differs from our budget (shared/gate): its bound is on the mean, ours on every answer; it
 * grows with the answer and has no ceiling; there is no weight and no floor beside it.
 */
import type { Decoder } from './decoder.ts';
import { shaped } from './shaped.ts';

/** How many of the prompt's log-ratios the debt is the mean of: the published code's default. */
const DEBT_TOKENS = 5;

/** @param nats k, the allowance of each token, above 0 */
export function anchored(nats: number): Decoder {
  return {
    readsPrompt: true,
    start({ sampling, promptLogRatios }) {
      const { topP, ...heat } = sampling;
      let [allowance, spent] = [-prefixDebt(promptLogRatios), 0];
      return {
        next({ safety, helpfulness }) {
          allowance += nats;
          const anchor = shaped(safety, { ...heat, topP: 1 });
          const other = shaped(helpfulness, { ...heat, topP: 1 });
          const { theta, logprobs, kl } = nearestWithin(anchor, other, Math.max(0, allowance - spent));
          spent += kl;
          return { logprobs: shaped(logprobs, { temperature: 1, topP }), weight: 1 - theta, spent };
        },
      };
    },
  };
}

export function prefixDebt(logRatios: readonly number[]): number {
  const largest = logRatios
    .filter((ratio) => ratio > 0)
    .sort((a, b) => b - a)
    .slice(0, DEBT_TOKENS);
  return largest.length === 0 ? 0 : largest.reduce((sum, ratio) => sum + ratio, 0) / largest.length;
}

export type Fused = { theta: number; logprobs: Float64Array; kl: number };

/**
 * The q nearest to `other` with KL(q || anchor) <= nats. KL grows with theta, so a bracket around
 * the border is narrowed by Newton's steps, and by halving where those leave it. The result is on
 * the allowed side.
 */
export function nearestWithin(anchor: Float64Array, other: Float64Array, nats: number): Fused {
  let low = fuse(anchor, other, 0);
  if (nats <= 0) return low;
  const whole = fuse(anchor, other, 1);
  if (whole.kl <= nats) return whole;
  let high = 1;
  let theta = Math.min(0.5, nats / (nats + 1));
  for (let i = 0; i < 60 && high - low.theta > 1e-9; i++) {
    const tried = fuse(anchor, other, theta);
    if (tried.kl <= nats) low = tried;
    else high = theta;
    if (low.kl <= nats && nats - low.kl < 1e-7) break;
    const newton = theta - (tried.kl - nats) / Math.max(tried.slope, 1e-12);
    theta = newton > low.theta && newton < high ? newton : (low.theta + high) / 2;
  }
  return low;
}

/** q at theta, KL(q || anchor), and its derivative theta * Var_q(log p_h - log p_s). */
function fuse(anchor: Float64Array, other: Float64Array, theta: number): Fused & { slope: number } {
  const logprobs = new Float64Array(anchor.length);
  let max = -Infinity;
  for (let i = 0; i < anchor.length; i++) {
    const [a, b] = [anchor[i]!, other[i]!];
    // A token that either rules out stays out, even at weight 0, as in the published code.
    const value = a === -Infinity || b === -Infinity ? -Infinity : a + theta * (b - a);
    logprobs[i] = value;
    if (value > max) max = value;
  }
  if (max === -Infinity) throw new Error('the two experts have no token in common');
  let [total, mean, square] = [0, 0, 0];
  for (let i = 0; i < logprobs.length; i++) {
    if (logprobs[i] === -Infinity) continue;
    const mass = Math.exp(logprobs[i]! - max);
    const ratio = other[i]! - anchor[i]!;
    total += mass;
    mean += mass * ratio;
    square += mass * ratio * ratio;
  }
  const logTotal = max + Math.log(total);
  for (let i = 0; i < logprobs.length; i++) logprobs[i]! -= logTotal;
  mean /= total;
  return {
    theta,
    logprobs,
    kl: Math.max(0, theta * mean - logTotal),
    slope: theta * Math.max(0, square / total - mean * mean),
  };
}
