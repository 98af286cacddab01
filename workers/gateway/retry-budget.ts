/**
 * Limits how many of the attempts are retries. Each request may ask three backends, so a pool that
 * fails would get three times the requests, and would never recover. With a budget, retries are at
 * most a share of the recent requests, and a few more, so that a quiet edge can still retry. A
 * second backend that is asked beside a silent one counts too. Each isolate has its own budget.
 *
 * The idea is Finagle's (`RetryBudget`, https://finagle.github.io/blog/2016/02/08/retry-budgets/),
 * and so are its numbers.
 */

/** Retries for each request. */
const SHARE = 0.2;
const WINDOW_MS = 10_000;
/** What a window has without any request: ten a second. */
const RESERVE = 100;
/** The window moves in steps of this, so that what it counts is bounded. */
const SLICE_MS = 1_000;

export type RetryBudget = {
  /** Counts a request. */
  request(): void;
  /**
   * Makes one more attempt if that is within the budget. It counts if `attempt` returns true.
   * Returns whether it was made.
   */
  spend(attempt: () => boolean): boolean;
};

export function createRetryBudget({
  share = SHARE,
  reserve = RESERVE,
  now = Date.now,
}: {
  share?: number;
  reserve?: number;
  now?: () => number;
} = {}): RetryBudget {
  let slices: { atMs: number; requests: number; retries: number }[] = [];

  /** Drops what is too old, and returns the slice of this moment. */
  function current() {
    const nowMs = now();
    slices = slices.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    const last = slices.at(-1);
    if (last !== undefined && nowMs - last.atMs < SLICE_MS) return last;
    const slice = { atMs: nowMs, requests: 0, retries: 0 };
    slices.push(slice);
    return slice;
  }

  return {
    request() {
      current().requests++;
    },
    spend(attempt) {
      const slice = current();
      const requests = slices.reduce((sum, each) => sum + each.requests, 0);
      const retries = slices.reduce((sum, each) => sum + each.retries, 0);
      if (retries + 1 > reserve + share * requests || !attempt()) return false;
      slice.retries++;
      return true;
    },
  };
}
