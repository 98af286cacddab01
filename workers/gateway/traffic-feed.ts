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
  /** Of tenants that are not in `gathered`. */
  let lost = 0;
  let isolate: string | null = null;
  /** How long the object wanted us to wait the last time. */
  let everyMs = 0;
  /** No call is made before this. */
  let nextAtMs = 0;
  /** Until when somebody is believed to be about to call. */
  let takenUntilMs = 0;

  function gather(request: OverRequest): void {
    const { tenant } = request;
    const own = gathered.get(tenant) ?? { tenant, requests: [], lost: 0 };
    if (!gathered.has(tenant) && gathered.size >= MOST_TENANTS) {
      lost += 1;
      return;
    }
    gathered.set(tenant, own);
    own.requests.push(request);
    if (own.requests.length <= MOST_OF_TENANT) return;
    own.requests.shift();
    own.lost += 1;
  }

  async function tell(env: LiveTrafficBinding): Promise<void> {
    const tenants = [...gathered.values()];
    const batch = { tenants, lost };
    gathered = new Map();
    lost = 0;
    // Whoever ends while this call is made tells next: nothing that it brings would be in this one.
    takenUntilMs = 0;
    nextAtMs = now() + everyMs;
    // Not as the module begins: there is no randomness yet.
    isolate ??= crypto.randomUUID();
    try {
      everyMs = (await liveTraffic(env)?.tell({ isolate, ...batch })) ?? AGAIN_MS;
    } catch (thrown) {
      everyMs = AGAIN_MS;
      giveUp(batch);
      logWarning({ event: 'traffic-not-told', because: thrown instanceof Error ? thrown.message : String(thrown) });
    }
    nextAtMs = now() + everyMs;
  }

  /** Counts what could not be told, for the next call. */
  function giveUp(batch: Pick<TrafficBatch, 'tenants' | 'lost'>): void {
    lost += batch.lost;
    for (const { tenant, requests, lost: before } of batch.tenants) {
      const own = gathered.get(tenant);
      const count = requests.length + before;
      if (own !== undefined) own.lost += count;
      else if (gathered.size < MOST_TENANTS) gathered.set(tenant, { tenant, requests: [], lost: count });
      else lost += count;
    }
  }

  return {
    async add(request, env) {
      if (env.LIVE_TRAFFIC === undefined) return;
      gather(request);
      if (now() < takenUntilMs) return;
      // The call before this one may end meanwhile, and say when the next one may be made.
      for (let waitMs = Math.max(GATHER_MS, nextAtMs - now()); waitMs > 0; waitMs = nextAtMs - now()) {
        takenUntilMs = now() + waitMs + LAPSE_MS;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
      // Somebody may have taken over.
      if (gathered.size > 0) await tell(env);
    },
  };
}
