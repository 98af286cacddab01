/**
 * The account of one answer: `spent` is the running sum of log q(y_t) - log p_s~(y_t), in nats.
 */
import { GateError } from './gate-error.ts';
import type { GatePolicy } from './gate-types.ts';

/**
 * Without a budget, q may draw a token that the safety expert gives no probability at all, and the
 * sum is infinite. JSON has no Infinity (it writes null), and the account has to survive a
 * hand-over. So infinity is written as the largest finite number, which behaves like it: adding any
 * ordinary amount leaves it unchanged, and it overdraws every budget.
 */
export const SPENT_UNBOUNDED = Number.MAX_VALUE;

/**
 * The log of probability 0 in the gate's output. It is finite for the same reason as
 * `SPENT_UNBOUNDED`, and its exponential is 0 too.
 */
export const LOG_ZERO = -Number.MAX_VALUE;

/**
 * A log-probability in a form that can be reported. LOG_ZERO if the token was masked or its row is
 * missing.
 */
export function reportable(logprob: number | undefined): number {
  return logprob !== undefined && logprob > LOG_ZERO ? logprob : LOG_ZERO;
}

/**
 * The most nats that may have been spent once the token at `position` is drawn. null if nothing
 * bounds it:
 *
 *     min(K, start + rate * t),    t = position + 1
 *
 * It never falls from one position to the next, so a promise once kept stays kept.
 *
 * The cap works with this bound minus what is spent. So the budget's promise holds for every
 * beginning of an answer: q(y_1..y_t) <= e^min(K, start + rate * t) * p_s~(y_1..y_t). If the bound
 * is spent in full and the next token earns nothing, the safety expert alone draws that token.
 */
export function spendingBound(
  { budget, earned }: Pick<GatePolicy, 'budget' | 'earned'>,
  { position }: { position: number },
): number | null {
  if (!earned) return budget;
  // The bound stays finite even for a high rate and a long answer. An infinite bound minus an
  // infinite cost would be NaN.
  const soFar = Math.min(SPENT_UNBOUNDED, earned.start + earned.rate * (position + 1));
  return budget === null ? soFar : Math.min(budget, soFar);
}

/**
 * @param spent nats spent before this token
 * @param spends log q - log p_s~ of this token
 * @param bound the bound at the token's position, or null. The sum never exceeds it. The cap keeps
 *   to it except for the last rounding step, which is removed here: in both directions, so that a
 *   token at its cap spends all there is. An account that was already overdrawn (resumed under a
 *   tighter line) stays as overdrawn as it was.
 * @throws GateError if `spends` is NaN, or an infinity that no drawn token has: -Infinity, or
 *   Infinity under a bound. Then the gate itself has failed.
 */
export function addSpending(spent: number, { spends, bound }: { spends: number; bound: number | null }): number {
  if (!(spends > -Infinity && (spends < Infinity || bound === null))) {
    throw new GateError('distribution_unusable', `a token spends ${spends} nats under a bound of ${bound}`);
  }
  const most = bound === null ? SPENT_UNBOUNDED : Math.max(bound, spent);
  const sum = Math.max(-SPENT_UNBOUNDED, spent + spends);
  return sum > most || (spends > 0 && sum >= most * (1 - ROUNDING)) ? most : sum;
}

/** Far more than the rounding of a few additions, far less than anyone can notice. */
const ROUNDING = 1e-13;

/**
 * What is left of a bound, in nats. Below 0 only for an overdrawn account. null if there is no
 * bound.
 */
export function natsLeft(bound: number | null, { spent }: { spent: number }): number | null {
  return bound === null ? null : Math.min(SPENT_UNBOUNDED, bound - spent);
}
