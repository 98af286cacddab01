/**
 * The latest requests of the whole deployment, for whoever watches: one object, because an isolate
 * knows only its own. It keeps them in memory alone, so they are gone when the object is, and lets
 * go of what is older than an hour whenever it is called. An isolate tells of many requests at
 * once, and seldom while nobody watches.
 */
import { DurableObject } from 'cloudflare:workers';
import type { LivePage, LiveTrafficContract, TrafficBatch, TrafficCounts } from '../objects/live-traffic-contract.ts';
import { createLatestRequests } from './latest-requests.ts';
import { createTrafficCounts } from './traffic-counts.ts';

/**
 * How often an isolate tells while nobody watches, and while somebody does. Cloudflare may put an
 * object out of memory that nobody has called for ten seconds, so both must be well below that.
 */
const IDLE_MS = 5_000;
const WATCHED_MS = 1_000;
/** Somebody who has asked counts as watching for so long. */
const WATCHES_MS = 15_000;
/** With very many isolates each tells less often: at most a few hundred tell in a second. */
const PER_ISOLATE_MS = 4;
/** An isolate that is not heard for so long is no longer counted. */
const FORGOTTEN_MS = 20_000;

export class LiveTraffic extends DurableObject implements LiveTrafficContract {
  readonly #latest = createLatestRequests();
  readonly #counts = createTrafficCounts();
  /** When each was last heard. */
  readonly #isolates = new Map<string, number>();
  #watchedAt = Number.NEGATIVE_INFINITY;

  async tell({ isolate, tenants, lost }: TrafficBatch): Promise<number> {
    const now = Date.now();
    this.#counts.add({ tenants, lost });
    for (const each of tenants) this.#latest.add(each);
    this.#latest.lose(lost);
    this.#isolates.delete(isolate);
    this.#isolates.set(isolate, now);
    for (const [name, heardAt] of this.#isolates) {
      if (now - heardAt < FORGOTTEN_MS) break;
      this.#isolates.delete(name);
    }
    const isWatched = now - this.#watchedAt < WATCHES_MS;
    return Math.max(isWatched ? WATCHED_MS : IDLE_MS, this.#isolates.size * PER_ISOLATE_MS);
  }

  async forget(tenant: string): Promise<void> {
    this.#latest.forget(tenant);
  }

  async read(options: { tenant: string | null; after: string | null; limit: number }): Promise<LivePage> {
    this.#watchedAt = Date.now();
    return this.#latest.page(options);
  }

  async counts(): Promise<TrafficCounts> {
    return this.#counts.counts();
  }
}
