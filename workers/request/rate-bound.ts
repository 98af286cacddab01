/**
 * A bound on how often something may happen for each name, in this isolate: so many times a period,
 * which begins with the first. It is cheap and forgets, so it keeps load away from the stores. What
 * has to be exact is in a Durable Object.
 */
import { LRUCache } from 'lru-cache';

/** A name takes about a hundred bytes. */
const MAX_NAMES = 10_000;

export type RateBound = {
  /**
   * Counts once more, or `count` times if there is room for one. Returns null, or how many ms to
   * wait if there is none.
   */
  take(name: string, count?: number): number | null;
  /** The same answer, and counts nothing. */
  wait(name: string): number | null;
  /** Takes back what `take` has counted. If its period is over, nothing changes. */
  giveBack(name: string): void;
};

export function createRateBound({
  most,
  periodMs,
  now = Date.now,
}: {
  most: number;
  periodMs: number;
  now?: () => number;
}): RateBound {
  const periods = new LRUCache<string, { count: number; endsAtMs: number }>({ max: MAX_NAMES });

  function current(name: string): { count: number; endsAtMs: number } {
    const known = periods.get(name);
    // One that seems to end later than a new one would: the clock was set back.
    if (known !== undefined && known.endsAtMs > now() && known.endsAtMs <= now() + periodMs) return known;
    const begun = { count: 0, endsAtMs: now() + periodMs };
    periods.set(name, begun);
    return begun;
  }

  function wait(name: string): number | null {
    const period = current(name);
    return period.count >= most ? period.endsAtMs - now() : null;
  }

  return {
    wait,
    take(name, count = 1) {
      const waitMs = wait(name);
      if (waitMs === null) current(name).count += count;
      return waitMs;
    },
    giveBack(name) {
      const period = current(name);
      period.count = Math.max(0, period.count - 1);
    },
  };
}
