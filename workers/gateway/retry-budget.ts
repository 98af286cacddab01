/**
 * Limits how many of the attempts are retries. Each request may ask three backends, so a pool that
 * fails would get three times the requests, and would never recover. With a budget, retries are at
 * most a share of the recent requests, and a few more out of a reserve, so that a quiet edge can
 * still retry. A second backend that is asked beside a silent one counts too. Each isolate has its
 * own budget.
 *
 * The share belongs to the tenant whose requests they are, so nobody else can spend it. The reserve
 * is for all, and of that no tenant may have more than is left for the others. So one whose
 * requests keep failing gets half of it at most, two at the same time a third each, and whoever
 * comes next still finds something.
 *
 * The idea is Finagle's (`RetryBudget`, https://finagle.github.io/blog/2016/02/08/retry-budgets/),
 * and so are its numbers, for one tenant. How the reserve is divided is the dynamic threshold by
 * which the ports of a switch share its memory (Choudhury and Hahne, IEEE/ACM Transactions on
 * Networking 6(2), 1998).
 */
import { LRUCache } from 'lru-cache';

/** Retries for each request. */
const SHARE = 0.2;
const WINDOW_MS = 10_000;
/** What a window has without any request: ten a second for a tenant that fails alone. */
const RESERVE = 200;
/** The window moves in steps of this, so that what it counts is bounded. */
const SLICE_MS = 1_000;
/**
 * Each takes about a kilobyte. One that is forgotten loses what it may retry for its past requests.
 * What all have taken of the reserve is never forgotten, so the bound of all holds.
 */
const MOST_TENANTS = 1_000;

/** For the requests of one tenant. */
export type RetryBudget = {
  /** Counts a request. */
  request(): void;
  /**
   * Makes one more attempt if that is within the budget. It counts if `attempt` returns true.
   * Returns whether it was made.
   */
  spend(attempt: () => boolean): boolean;
};

export type RetryBudgets = {
  of(tenant: string): RetryBudget;
};

/**
 * @param share retries that a tenant has for each of its requests of the last ten seconds
 * @param reserve further retries in ten seconds, of all tenants together
 */
export function createRetryBudgets({
  share = SHARE,
  reserve = RESERVE,
  mostTenants = MOST_TENANTS,
  now = Date.now,
}: {
  share?: number;
  reserve?: number;
  mostTenants?: number;
  now?: () => number;
} = {}): RetryBudgets {
  const all = createWindow(now);
  const tenants = new LRUCache<string, RetryBudget>({ max: mostTenants });

  function createBudget(): RetryBudget {
    const own = createWindow(now);
    return {
      request() {
        own.current().requests++;
      },
      spend(attempt) {
        const { requests, shared, reserved } = own.sums();
        if (shared + 1 <= share * requests) {
          if (!attempt()) return false;
          own.current().shared++;
          return true;
        }
        const left = reserve - all.sums().reserved;
        if (left < 1 || reserved >= left || !attempt()) return false;
        own.current().reserved++;
        all.current().reserved++;
        return true;
      },
    };
  }

  return {
    of(tenant) {
      const known = tenants.get(tenant);
      if (known !== undefined) return known;
      const budget = createBudget();
      tenants.set(tenant, budget);
      return budget;
    },
  };
}

/** Retries are those out of the tenant's share, and those out of the reserve. */
type Counts = { requests: number; shared: number; reserved: number };

/** What the last ten seconds have had. */
function createWindow(now: () => number) {
  let slices: ({ atMs: number } & Counts)[] = [];
  const forget = (nowMs: number) => {
    if (slices.some(({ atMs }) => nowMs - atMs >= WINDOW_MS)) {
      slices = slices.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    }
  };

  return {
    /** The slice of this moment. */
    current(): Counts {
      const nowMs = now();
      forget(nowMs);
      const last = slices.at(-1);
      if (last !== undefined && nowMs - last.atMs < SLICE_MS) return last;
      const slice = { atMs: nowMs, requests: 0, shared: 0, reserved: 0 };
      slices.push(slice);
      return slice;
    },
    sums(): Counts {
      forget(now());
      const sum = (name: keyof Counts) => slices.reduce((total, slice) => total + slice[name], 0);
      return { requests: sum('requests'), shared: sum('shared'), reserved: sum('reserved') };
    },
  };
}
