/**
 * A bound on work that no token pays for, where nobody else bounds the requests: it holds a
 * backend's thread, and their neighbours' answers come through the same one. Each isolate counts by
 * itself, so this keeps a loop away and is no quota.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { createRateBound } from '../request/rate-bound.ts';
import type { Caller } from '../request/tenant-directory.ts';

const MOST_A_MINUTE = 600;

/**
 * Throws `rate_limit_exceeded` if the tenant has had so much in the last minute.
 *
 * `isCounted`: whether the tenant's account counts the request before the work is done, if it
 * counts requests at all. Else one that it then refuses has had its work, again and again.
 */
export type FreeWork = (
  caller: Pick<Caller, 'tenant' | 'limits' | 'policy'>,
  options?: { isCounted?: boolean },
) => void;

export function createFreeWork({ most = MOST_A_MINUTE, now = Date.now } = {}): FreeWork {
  const bound = createRateBound({ most, periodMs: 60_000, now });
  return ({ tenant, limits, policy }, { isCounted = true } = {}) => {
    const isBounded = (limits ?? policy.limits).requests_per_minute !== null;
    if (isBounded && isCounted) return;
    const waitMs = bound.take(tenant);
    if (waitMs === null) return;
    throw new PlimsollError(
      'rate_limit_exceeded',
      isBounded
        ? `Where tries of one prompt are limited, prompts of token ids may be sent ${most} times a minute.`
        : `A tenant without a limit on requests may ask for tokens without an answer ${most} times a minute.`,
      { retryAfterSeconds: Math.ceil(waitMs / 1_000) },
    );
  };
}
