/** The latest requests of each tenant, and of all, in memory. Nothing of it is ever on a disk. */
import type { LivePage, LiveRequest, TrafficBatch } from '../objects/live-traffic-contract.ts';

/** How many requests are remembered of each tenant, and of all together. */
export const MOST_OF_TENANT = 100;
export const MOST_OF_ALL = 500;
/** Of how many tenants. The one that was silent for longest is forgotten first. */
const MOST_TENANTS = 500;
export const FORGET_MS = 60 * 60_000;

type Ring = { requests: LiveRequest[]; lost: number };

export function createLatestRequests({ epoch, now = Date.now }: { epoch: string; now?: () => number }) {
  const sinceMs = now();
  const all: Ring = { requests: [], lost: 0 };
  const rings = new Map<string, Ring>();
  let seq = 0;

  function add({ tenant, requests, lost }: TrafficBatch['tenants'][number]): void {
    const ring = rings.get(tenant) ?? { requests: [], lost: 0 };
    // The latest is last.
    rings.delete(tenant);
    rings.set(tenant, ring);
    for (const request of requests) {
      seq += 1;
      // A request is in two lists, and only once in memory.
      const numbered = { seq, ...request, tenant };
      keep(ring, numbered, MOST_OF_TENANT);
      keep(all, numbered, MOST_OF_ALL);
    }
    ring.lost += lost;
    all.lost += lost;
    for (const silent of rings.keys()) {
      if (rings.size <= MOST_TENANTS) break;
      rings.delete(silent);
    }
  }

  function page({ tenant, after, limit }: { tenant: string | null; after: string | null; limit: number }): LivePage {
    const ring = (tenant === null ? all : rings.get(tenant)) ?? { requests: [], lost: 0 };
    const oldest = new Date(now() - FORGET_MS).toISOString();
    ring.requests = ring.requests.filter(({ at }) => at >= oldest);
    const [life, number] = (after ?? '').split('.');
    const known = life === epoch ? Number(number) : 0;
    const data = ring.requests.filter((request) => request.seq > known).slice(-limit);
    return { data, cursor: `${epoch}.${seq}`, sinceMs, lost: ring.lost };
  }

  return { add, page };
}

function keep(ring: Ring, request: LiveRequest, most: number): void {
  ring.requests.push(request);
  if (ring.requests.length > most) ring.requests.shift();
}
