/**
 * Gathers the requests of this isolate that are over, and tells the object that shows them. Many
 * requests go in one call, so their number costs next to nothing, and no request waits for it.
 */
import {
  type LiveTrafficBinding,
  liveTraffic,
  type OverRequest,
  type TrafficBatch,
} from '../objects/live-traffic-contract.ts';
import { logWarning } from '../request/log.ts';

/** How many requests of a tenant, and of how many tenants, one call tells. */
const MOST_OF_TENANT = 50;
const MOST_TENANTS = 200;
/** Requests that end within this time go together. */
const GATHER_MS = 100;
/** After an error. */
const AGAIN_MS = 10_000;
/** A request that was to tell may be cut off. So much later another one takes it over. */
const LAPSE_MS = 5_000;

export type TrafficFeed = {
  /** Resolves once this call has told what it was to tell. */
  add(request: OverRequest, env: LiveTrafficBinding): Promise<void>;
};

export function createTrafficFeed({ now = Date.now }: { now?: () => number } = {}): TrafficFeed {
  let gathered = new Map<string, TrafficBatch['tenants'][number]>();
  let isolate: string | null = null;
  /** No call is made before this. */
  let nextAtMs = 0;
  /** Until when somebody is believed to be about to call. */
  let takenUntilMs = 0;

  function gather(request: OverRequest): void {
    const { tenant } = request;
    const own = gathered.get(tenant) ?? { tenant, requests: [], lost: 0 };
    if (!gathered.has(tenant) && gathered.size >= MOST_TENANTS) return;
    gathered.set(tenant, own);
    own.requests.push(request);
    if (own.requests.length <= MOST_OF_TENANT) return;
    own.requests.shift();
    own.lost += 1;
  }

  async function tell(env: LiveTrafficBinding): Promise<void> {
    const tenants = [...gathered.values()];
    gathered = new Map();
    // Not as the module begins: there is no randomness yet.
    isolate ??= crypto.randomUUID();
    try {
      const waitMs = (await liveTraffic(env)?.tell({ isolate, tenants })) ?? AGAIN_MS;
      nextAtMs = now() + waitMs;
    } catch (thrown) {
      nextAtMs = now() + AGAIN_MS;
      logWarning({ event: 'traffic-not-told', because: thrown instanceof Error ? thrown.message : String(thrown) });
    } finally {
      takenUntilMs = 0;
    }
  }

  return {
    async add(request, env) {
      if (env.LIVE_TRAFFIC === undefined) return;
      gather(request);
      const time = now();
      if (time < takenUntilMs) return;
      const waitMs = Math.max(GATHER_MS, nextAtMs - time);
      takenUntilMs = time + waitMs + LAPSE_MS;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await tell(env);
    },
  };
}
