/**
 * The account of one answer: `spent` is the running sum of log q(y_t) - log p_s~(y_t), in nats.
 *
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
 * @param spent nats spent before this token
 * @param spends log q - log p_s~ of this token
 * @param budget K, or null. The sum never passes it: the cap keeps to it up to the last rounding, and this removes that
 *   one. An account that was overdrawn before (resumed under a tighter line) is left as overdrawn as it was.
 */
export function addSpending(spent: number, { spends, budget }: { spends: number; budget: number | null }): number {
  const most = budget === null ? SPENT_UNBOUNDED : Math.max(budget, spent);
  return Math.max(-SPENT_UNBOUNDED, Math.min(spent + spends, most));
}

/** K - spent, or null where there is no budget. */
export function natsLeft(budget: number | null, { spent }: { spent: number }): number | null {
  return budget === null ? null : budget - spent;
}
