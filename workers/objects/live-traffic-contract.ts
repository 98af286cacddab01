/**
 * The latest requests, as whoever watches them sees them: numbers and names, and nothing of what
 * was said. This file uses no platform type, so code that only calls the object also type-checks
 * under Node.
 */
import * as z from 'zod';
import { CACHE_STATES, type CacheState, CategoryProbability } from '#shared/api/plimsoll-extension.ts';
import { SIGNALS } from '#shared/line/categories.ts';

/** How many bars a histogram of weights has. The last one includes 1. */
export const WEIGHT_BARS = 10;

/** How a request may end. */
export const OUTCOMES = ['answered', 'refused', 'failed', 'left'] as const;

/** A request that is over. */
export const LiveRequest = z.strictObject({
  seq: z.int().describe('counts the requests of what is watched, one tenant or all, as they came in'),
  request: z.string(),
  at: z.string().describe('when it began: ISO 8601, in UTC'),
  tenant: z.string(),
  key: z.string().describe('the id of the key'),
  route: z.string(),
  model: z.string().nullable(),
  outcome: z.enum(OUTCOMES).describe('refused: by the policy. failed: any other error. left: the client went away'),
  status: z.int(),
  code: z.string().nullable().describe('of the error, if there was one'),
  ms: z.int().describe('from its beginning to its end'),
  policy: z.string().nullable().describe('the version of the effective policy'),
  canary: z.boolean().describe('whether a canary decided, in place of the active version'),
  floor: z.number().nullable().describe('that was held, by the receipt of the first answer'),
  budget: z.number().nullable().describe('nats; null: none, or nothing was answered'),
  spent: z.number().nullable(),
  categories: z.array(CategoryProbability).describe('the likeliest judgements of the edge, likeliest first'),
  because: z.enum(SIGNALS).nullable().describe('the signal that refused the request or tightened its line'),
  weights: z
    .array(z.int())
    .length(WEIGHT_BARS)
    .nullable()
    .describe('how many tokens had a safety weight from 0 to 0.1, 0.1 to 0.2, and so on; null: none was drawn'),
  prompt_tokens: z.int().nullable(),
  completion_tokens: z.int().nullable(),
  finish_reason: z.string().nullable(),
  cache: z.enum(CACHE_STATES).nullable(),
  backend: z.string().nullable(),
});
export type LiveRequest = z.infer<typeof LiveRequest>;

/** What an isolate tells of. It counts nothing. */
export type OverRequest = Omit<LiveRequest, 'seq'>;

export type TrafficBatch = {
  /** Which isolate tells. It has chosen the name itself. */
  isolate: string;
  /** By tenant, in the order of their ends; `lost` is how many more there were. */
  tenants: { tenant: string; requests: OverRequest[]; lost: number }[];
  /** How many more there were, of tenants that are not among these. */
  lost: number;
};

export type LivePage = {
  /** In the order in which they came in. */
  data: LiveRequest[];
  /** What to ask after the next time. */
  cursor: string;
  /** Since when this object remembers, in Unix milliseconds. */
  sinceMs: number;
  /** How many requests it was told of since then that it could not keep. */
  lost: number;
};

/** What the object was told of since `sinceMs`, in Unix milliseconds. */
export type TrafficCounts = {
  sinceMs: number;
  outcomes: Map<LiveRequest['outcome'], number>;
  /** By the code of the error, of the requests that had one. */
  codes: Map<string, number>;
  /** Of the answers that began. */
  caches: Map<CacheState, number>;
  promptTokens: number;
  completionTokens: number;
  /** How many requests nobody could tell of. They are in none of the other counts. */
  lost: number;
};

export interface LiveTrafficContract {
  /** Returns in how many ms the same isolate should tell again. */
  tell(batch: TrafficBatch): Promise<number>;
  /** Forgets a tenant that is erased, with what is still on its way from before. */
  forget(tenant: string): Promise<void>;
  /**
   * What came in after a cursor, the latest `limit` of it. A cursor of another life of the object,
   * or of another tenant's, is none. Whoever asks watches, so isolates tell sooner for a while.
   *
   * @param options.tenant null: of all
   */
  read(options: { tenant: string | null; after: string | null; limit: number }): Promise<LivePage>;
  /** Of the whole deployment. Whoever asks does not watch: isolates tell no sooner. */
  counts(): Promise<TrafficCounts>;
}

export type LiveTrafficBinding = { LIVE_TRAFFIC?: { getByName(name: string): LiveTrafficContract } };

/** The one object that knows the latest requests; null if the deployment has none. */
export function liveTraffic({ LIVE_TRAFFIC: namespace }: LiveTrafficBinding): LiveTrafficContract | null {
  if (namespace === undefined) return null;
  // Once its object has crashed, a stub fails for ever. So each call takes a new one.
  const traffic = () => namespace.getByName('traffic');
  return {
    tell: (batch) => traffic().tell(batch),
    forget: (tenant) => traffic().forget(tenant),
    read: (options) => traffic().read(options),
    counts: () => traffic().counts(),
  };
}
