/**
 * Remembers which backends requests have recently found broken. All requests skip a backend that
 * failed, for longer each time it fails again. Then one request at a time tries it, and the first
 * answer brings it back. A good health report alone does not: a backend may say that it is well and
 * still answer nobody.
 *
 * It is shared by all tenants, so only what is the backend's own fault may count as a failure.
 */
const LONGEST_REST_MS = 15_000;
/**
 * A trial may die with the request that made it, and never report back. So it counts only for this
 * long.
 */
const TRIAL_MS = 30_000;

type Trouble = { failures: number; outUntilMs: number; trialSinceMs: number };

export type Breaker = {
  /** Whether a request may be sent there now. If that is a trial, this call starts it. */
  admit(url: string): boolean;
  answered(url: string): void;
  failed(url: string): void;
  /**
   * The request sent there is over. If it was a trial that showed nothing, because its client left
   * or the request itself was at fault, the next request may try.
   */
  released(url: string): void;
};

/** @param restMs how long a backend is left out after its first failure */
export function createBreaker({ restMs, now = Date.now }: { restMs: number; now?: () => number }): Breaker {
  const troubles = new Map<string, Trouble>();

  return {
    admit(url) {
      const trouble = troubles.get(url);
      if (trouble === undefined) return true;
      if (now() < trouble.outUntilMs || now() - trouble.trialSinceMs < TRIAL_MS) return false;
      trouble.trialSinceMs = now();
      return true;
    },
    answered(url) {
      troubles.delete(url);
    },
    failed(url) {
      const before = troubles.get(url);
      // Many requests that break together count as one failure.
      const failures = before === undefined ? 1 : before.failures + (now() < before.outUntilMs ? 0 : 1);
      const outUntilMs = now() + Math.min(restMs * 2 ** (failures - 1), LONGEST_REST_MS);
      troubles.set(url, { failures, outUntilMs, trialSinceMs: Number.NEGATIVE_INFINITY });
    },
    released(url) {
      const trouble = troubles.get(url);
      if (trouble !== undefined) trouble.trialSinceMs = Number.NEGATIVE_INFINITY;
    },
  };
}
