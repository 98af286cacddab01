/** The latest requests of each tenant, and of all, in memory. Nothing of it is ever on a disk. */
import type { LivePage, LiveRequest, OverRequest, TrafficBatch } from '../objects/live-traffic-contract.ts';

/** How many requests are remembered of each tenant, and of all together. */
export const MOST_OF_TENANT = 100;
export const MOST_OF_ALL = 500;
/** Of how many tenants. The one that was silent for longest is forgotten first. */
const MOST_TENANTS = 500;
export const FORGET_MS = 60 * 60_000;
/** How often, at most, all that is too old is looked for. */
export const SWEEP_MS = 1_000;

/**
 * What one tenant, or the operator, sees. It counts for itself, or its numbers would tell a tenant
 * how much all the others ask. Its `life` is in its cursors: no other ring goes on from them.
 */
type Ring = { life: string; seq: number; requests: LiveRequest[]; lost: number };

/** @param options.newLife makes 8 hex digits that no other ring has */
export function createLatestRequests({
  newLife = () => crypto.randomUUID().slice(0, 8),
  now = Date.now,
}: {
  newLife?: () => string;
  now?: () => number;
} = {}) {
  const sinceMs = now();
  const newRing = (): Ring => ({ life: newLife(), seq: 0, requests: [], lost: 0 });
  const all = newRing();
  /** What is seen of a tenant that nothing is known of. */
  const none = newRing();
  const rings = new Map<string, Ring>();
  /** The tenants that were erased, and when. */
  const erased = new Map<string, number>();
  let sweepAtMs = sinceMs + SWEEP_MS;

  function add({ tenant, requests, lost }: TrafficBatch['tenants'][number]): void {
    sweep();
    const erasedAtMs = erased.get(tenant);
    // What was on its way when the tenant was erased.
    const after = erasedAtMs === undefined ? requests : requests.filter(({ at }) => Date.parse(at) > erasedAtMs);
    if (erasedAtMs !== undefined && after.length === 0) return;
    const ring = rings.get(tenant) ?? newRing();
    // The latest is last.
    rings.delete(tenant);
    rings.set(tenant, ring);
    for (const request of after) {
      keep(ring, { ...request, tenant }, MOST_OF_TENANT);
      keep(all, { ...request, tenant }, MOST_OF_ALL);
    }
    ring.lost += lost;
    all.lost += lost;
    for (const silent of rings.keys()) {
      if (rings.size <= MOST_TENANTS) break;
      rings.delete(silent);
    }
  }

  /** Counts requests of nobody in particular that could not be kept. */
  function lose(count: number): void {
    all.lost += count;
  }

  /** Forgets a tenant, also what comes of it later and began before this. */
  function forget(tenant: string): void {
    rings.delete(tenant);
    all.requests = all.requests.filter((request) => request.tenant !== tenant);
    erased.set(tenant, now());
  }

  function page({ tenant, after, limit }: { tenant: string | null; after: string | null; limit: number }): LivePage {
    sweep();
    const ring = (tenant === null ? all : rings.get(tenant)) ?? none;
    forgetOld(ring);
    const [life, number] = (after ?? '').split('.');
    const known = life === ring.life ? Number(number) : 0;
    const data = ring.requests.filter((request) => request.seq > known).slice(-limit);
    return { data, cursor: `${ring.life}.${ring.seq}`, sinceMs, lost: ring.lost };
  }

  /** Lets go of all that is too old, whoever it is of, and whether or not anybody looks. */
  function sweep(): void {
    const time = now();
    if (time < sweepAtMs) return;
    sweepAtMs = time + SWEEP_MS;
    for (const ring of [all, ...rings.values()]) forgetOld(ring);
    for (const [tenant, erasedAtMs] of erased) if (time - erasedAtMs > FORGET_MS) erased.delete(tenant);
  }

  function forgetOld(ring: Ring): void {
    const oldest = new Date(now() - FORGET_MS).toISOString();
    ring.requests = ring.requests.filter(({ at }) => at >= oldest);
  }

  return { add, lose, forget, page };
}

function keep(ring: Ring, request: OverRequest, most: number): void {
  ring.seq += 1;
  ring.requests.push({ ...request, seq: ring.seq });
  if (ring.requests.length > most) ring.requests.shift();
}
