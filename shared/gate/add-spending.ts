/**
 * The account of one answer: `spent` is the running sum of log q(y_t) - log p_s~(y_t), in nats.
 */
import type { GatePolicy } from './gate-types.ts';

/**
 * Without a budget, q may draw a token to which the safety expert gives no probability at all, and the sum is infinite.
 * JSON has no Infinity (it writes null), and the account has to survive a hand-over, so infinity is written as the
 * largest finite number. That number behaves like it: adding any ordinary amount to it gives it back, and under
 * every budget it is overdrawn.
 */
export const SPENT_UNBOUNDED = Number.MAX_VALUE;

/** The log of probability 0 in whatever leaves the gate, for the same reason; its exponential is 0, too. */
export const LOG_ZERO = -Number.MAX_VALUE;

/** A log-probability to report, of a row that may have been masked there, or missing altogether. */
export function reportable(logprob: number | undefined): number {
  return logprob !== undefined && logprob > LOG_ZERO ? logprob : LOG_ZERO;
}

/**
 * The most that may have been spent once the token at `position` is drawn, in nats; null where
 * nothing bounds it:
 *
 *     min(K, start + rate * t),    t = position + 1
 *
 * It never falls from one position to the next, so what was kept stays kept.
 *
 * As the cap works with this bound minus what is spent, the promise of the budget holds for every
 * beginning of an answer: q(y_1..y_t) <= e^min(K, start + rate * t) * p_s~(y_1..y_t). A token for
 * which nothing is left (the bound was spent in full, and this token earns nothing) is the safety
 * expert's alone.
 */
export function spendingBound(
  { budget, earned }: Pick<GatePolicy, 'budget' | 'earned'>,
  { position }: { position: number },
): number | null {
  if (!earned) return budget;
  // Finite, however much a rate makes of a long answer: an infinite bound minus an infinite cost
  // would be NaN.
  const soFar = Math.min(SPENT_UNBOUNDED, earned.start + earned.rate * (position + 1));
  return budget === null ? soFar : Math.min(budget, soFar);
}

/**
 * @param spent nats spent before this token
 * @param spends log q - log p_s~ of this token
 * @param bound that of the token's position, or null. The sum never passes it: the cap keeps to it
 *   up to the last rounding, and this removes that one. An account that was overdrawn before
 *   (resumed under a tighter line) is left as overdrawn as it was.
 */
export function addSpending(spent: number, { spends, bound }: { spends: number; bound: number | null }): number {
  const most = bound === null ? SPENT_UNBOUNDED : Math.max(bound, spent);
  return Math.max(-SPENT_UNBOUNDED, Math.min(spent + spends, most));
}

/**
 * What is left of a bound, in nats: below 0 only for an account that was overdrawn; null where
 * there is no bound.
 */
export function natsLeft(bound: number | null, { spent }: { spent: number }): number | null {
  return bound === null ? null : Math.min(SPENT_UNBOUNDED, bound - spent);
}
