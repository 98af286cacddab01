/**
 * The budget: a whole answer may be at most e^K times as likely as the safety expert finds it.
 *
 *     q = min(lambda * p~, c * p_s~),    c = exp(K - spent),    lambda such that q sums to 1
 *
 * At every step the cap says q(y_t) <= e^(K - spent) * p_s~(y_t), and spent is the running sum of
 * log q - log p_s~; so for every answer y, log q(y) - log p_s~(y) <= K. Summed over any set H of
 * answers, harmful or otherwise: q(H) <= e^K * p_s~(H). That is K-near access-freeness in the
 * max-divergence (Vyas, Kakade and Barak, arXiv 2302.10870), with the safety expert as the safe
 * model. Their CP-Delta balances several models over whole outputs; the running cap keeps its
 * promise while tokens are drawn one by one, and those on which q stays below p_s~ earn back what
 * others cost. K may grow with the answer (add-spending.ts): then all of this holds for every
 * beginning of one. The promise is relative: what the safety expert does itself, q may do e^K times
 * as often.
 *
 * Among all distributions under the cap, this q is the one nearest to p~ in KL(q||p~): tokens under the cap keep
 * their proportions.
 *
 * Support is told by the logarithm: a token is outside only at -Infinity. A mass of e^-1000, which
 * no double holds, is still one that grows once whatever is likelier has reached its cap; so lambda
 * is solved for as a logarithm, too.
 *
 * Where the support of p~ cannot hold 1 under the cap, every token of it is filled to the cap and
 * the rest is shared out over the other tokens in proportion to p_s~, those that a client's bias
 * banned from p among them: a ban is a wish about the mixture, and does not stretch the cap of what
 * is left. That fits under the cap, because c >= 1. With no nats left, c is 1 and the only
 * distribution under p_s~ is p_s~ itself, returned as it is: K = 0 is the safety expert exactly.
 */
import { type DrawableDistribution, markAsDrawable } from './drawable-distribution.ts';
import { solveLambda } from './solve-lambda.ts';

type Cap = {
  /** log p_s~, [vocabulary] */
  reference: Float64Array;
  /**
   * K - spent, in nats (K that of the position); null is no budget. Below 0 (resumed under a
   * tighter line) counts as 0.
   */
  natsLeft: number | null;
};

/** @param mixture log p~, [vocabulary] */
export function capByBudget(mixture: Float64Array, { reference, natsLeft }: Cap): DrawableDistribution {
  if (natsLeft === null) return markAsDrawable(mixture, reference);
  if (natsLeft <= 0) return markAsDrawable(reference, reference);
  if (fits(mixture, { reference, natsLeft })) return markAsDrawable(mixture, reference);

  const logCap = new Float64Array(reference.length);
  // A probability is at most 1 whatever the cap, and the minimum keeps exp() of a generous budget
  // finite.
  for (let i = 0; i < logCap.length; i++) logCap[i] = Math.min(0, natsLeft + (reference[i] ?? NaN));

  const lambda = solveLambda(mixture, logCap);
  if (!lambda) return markAsDrawable(fillBeyondSupport(mixture, logCap, reference), reference);
  const { anchor, level } = lambda;
  const logprobs = new Float64Array(mixture.length);
  for (let i = 0; i < logprobs.length; i++) {
    logprobs[i] = Math.min((mixture[i] ?? NaN) - anchor + level, logCap[i] ?? NaN);
  }
  return markAsDrawable(logprobs, reference);
}

/**
 * Whether all of p~ is under the cap, as it mostly is: then lambda is 1. A NaN is under nothing.
 */
function fits(mixture: Float64Array, { reference, natsLeft }: { reference: Float64Array; natsLeft: number }): boolean {
  for (let i = 0; i < reference.length; i++) {
    if (!((mixture[i] ?? NaN) <= natsLeft + (reference[i] ?? NaN))) return false;
  }
  return true;
}

/** log q where all of p~'s support is at its cap and the rest of 1 goes to the other tokens, as p_s~ weighs them. */
function fillBeyondSupport(mixture: Float64Array, logCap: Float64Array, reference: Float64Array): Float64Array {
  const inside = (i: number) => (mixture[i] ?? NaN) > -Infinity;
  let filled = 0;
  let outside = 0;
  for (let i = 0; i < reference.length; i++) {
    if (inside(i)) filled += Math.exp(logCap[i] ?? NaN);
    else outside += Math.exp(reference[i] ?? NaN);
  }
  // Both bounds are for rounding alone: in exact arithmetic (1 - filled) / outside is between 0 and
  // 1. No underflow is hidden here: outside is at least 1 - filled.
  const rest = outside > 0 ? Math.min(1, Math.max(0, 1 - filled) / outside) : 0;
  const logRest = Math.log(rest);
  return reference.map((lp, i) => (inside(i) ? (logCap[i] ?? NaN) : logRest + lp));
}
