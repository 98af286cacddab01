/**
 * The budget: a whole answer may be at most e^K times as likely as under the safety expert.
 *
 *     q = min(lambda * p~, c * p_s~),    c = exp(K - spent),    lambda such that q sums to 1
 *
 * At every step the cap says q(y_t) <= e^(K - spent) * p_s~(y_t), and spent is the running sum of
 * log q - log p_s~. So for every answer y, log q(y) - log p_s~(y) <= K. Summed over any set H of
 * answers, harmful or not: q(H) <= e^K * p_s~(H). That is K-near access-freeness in the
 * max-divergence (Vyas, Kakade and Barak, arXiv 2302.10870), with the safety expert as the safe
 * model. Their CP-Delta balances several models over whole outputs. The running cap keeps its
 * promise while tokens are drawn one by one, and tokens whose q stays below p_s~ earn back what
 * others cost. K may grow with the answer (add-spending.ts). Then all of this holds for every
 * beginning of an answer. The promise is relative: whatever the safety expert does, q may do e^K
 * times as often.
 *
 * Of all distributions under the cap, this q is nearest to p~ in KL(q||p~): tokens under the cap
 * keep their proportions.
 *
 * Support is read from the logarithm: a token is outside only at -Infinity. No double holds a mass
 * of e^-1000, but such a mass still grows once everything likelier has reached its cap. So lambda
 * is solved as a logarithm too.
 *
 * If the support of p~ cannot hold 1 under the cap, every token in it is filled to its cap. The
 * other tokens share the rest in proportion to p_s~. Among them are tokens that a client's bias
 * banned from p: a ban is a wish about the mixture and does not raise the cap of the tokens that
 * are left. This fits under the cap, because c >= 1. With no nats left, c is 1, and the only
 * distribution under p_s~ is p_s~ itself, which is returned unchanged. K = 0 is the safety expert
 * exactly.
 */
import { type DrawableDistribution, markAsDrawable } from './drawable-distribution.ts';
import { solveLambda } from './solve-lambda.ts';

type Cap = {
  /** log p_s~, [vocabulary] */
  reference: Float64Array;
  /**
   * K - spent, in nats, with the K of this position. null is no budget. Below 0 (resumed under a
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
  // No probability is above 1, whatever the cap. The minimum keeps exp() of a generous budget
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
 * Whether all of p~ is under the cap, as is usually the case. Then lambda is 1. A NaN is never
 * under the cap.
 */
function fits(mixture: Float64Array, { reference, natsLeft }: { reference: Float64Array; natsLeft: number }): boolean {
  for (let i = 0; i < reference.length; i++) {
    if (!((mixture[i] ?? NaN) <= natsLeft + (reference[i] ?? NaN))) return false;
  }
  return true;
}

/**
 * log q when all of p~'s support is at its cap. The rest of 1 goes to the other tokens, in
 * proportion to p_s~.
 */
function fillBeyondSupport(mixture: Float64Array, logCap: Float64Array, reference: Float64Array): Float64Array {
  const inside = (i: number) => (mixture[i] ?? NaN) > -Infinity;
  let filled = 0;
  let outside = 0;
  for (let i = 0; i < reference.length; i++) {
    if (inside(i)) filled += Math.exp(logCap[i] ?? NaN);
    else outside += Math.exp(reference[i] ?? NaN);
  }
  // Both bounds only catch rounding: in exact arithmetic, (1 - filled) / outside lies between 0 and
  // 1. They hide no underflow: outside is at least 1 - filled.
  const rest = outside > 0 ? Math.min(1, Math.max(0, 1 - filled) / outside) : 0;
  const logRest = Math.log(rest);
  return reference.map((lp, i) => (inside(i) ? (logCap[i] ?? NaN) : logRest + lp));
}
