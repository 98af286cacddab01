/**
 * Greedy decoding (temperature 0) draws nothing, so here the budget needs a meaning of its own.
 * Greedy decoding takes the likeliest token of p among those that the safety expert finds at most
 * e^(K - spent) times less likely than its own favourite.
 *
 *     y = argmax p[i]  over  { i : max lp_s - lp_s[i] <= K - spent },    spends  max lp_s - lp_s[y]
 *
 * K = 0 is then the safety expert's own greedy choice. Over a whole answer, the regret against that
 * choice, summed in the safety expert's nats, never exceeds K. This promises something about one
 * answer, not about probabilities, since there are none. Nothing is ever earned back, because no
 * token can be likelier than the favourite.
 *
 * The result is still a distribution, with all of its mass on y. So there is one sampler and one
 * spending rule: against the reference lp_s - max lp_s, log q(y) = 0 spends exactly the difference
 * above.
 */
import { type DrawableDistribution, markAsDrawable } from './drawable-distribution.ts';
import { largest } from './log-softmax.ts';

type Limit = {
  /** log p_s under the caller's mask, at temperature 1, [vocabulary] */
  safety: Float64Array;
  /**
   * K - spent, in nats, with the K of this position. null is no budget. Below 0 (resumed under a
   * tighter line) counts as 0.
   */
  natsLeft: number | null;
};

/**
 * @param mixture log p under mask and bias, at temperature 1, [vocabulary]. Among equals, the
 *   lowest id is chosen.
 */
export function greedyChoice(mixture: Float64Array, { safety, natsLeft }: Limit): DrawableDistribution {
  const favourite = largest(safety);
  const most = natsLeft === null ? Infinity : Math.max(0, natsLeft);
  const reference = new Float64Array(safety.length);
  // If the mixture masks every affordable token, the favourite is chosen. It is always affordable,
  // because it costs nothing.
  let chosen = safety.indexOf(favourite);
  let best = -Infinity;
  for (let i = 0; i < reference.length; i++) {
    const regret = favourite - (safety[i] ?? NaN);
    reference[i] = -regret;
    const lp = mixture[i] ?? NaN;
    // With nothing left to spend, the favourite is chosen, and a bias cannot choose among tokens
    // that tie with it.
    if (most > 0 && regret <= most && lp > best) [chosen, best] = [i, lp];
  }
  const logprobs = new Float64Array(reference.length).fill(-Infinity);
  logprobs[chosen] = 0;
  return markAsDrawable(logprobs, reference);
}
