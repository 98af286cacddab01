/**
 * From a key's digest to its tenant, through three layers of which each is nearer and older than the next: a map in this
 * isolate, a copy in KV, the Durable Object that holds the truth.
 *
 * How old can a policy be? An isolate keeps a snapshot for `isolateTtlMs` and takes from KV only what was read from the
 * truth at most `kvMaxAgeMs` ago (the copy carries that time, so KV's own caching cannot stretch it): 70 seconds in
 * the worst case. A change rewrites the copies in KV, so it is usually the isolate's 10 seconds.
 *
 * A key that does not exist is remembered too, for seconds and in a map of its own, so that guessing keys neither reaches
 * the store each time nor pushes real tenants out.
 */
import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import { effectivePolicy } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { readStoredPolicy } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { TenantSnapshot } from '../objects/tenant-record.ts';
import { tenantStore } from '../objects/tenant-store-contract.ts';
import type { Env } from './env.ts';
import { logError } from './log.ts';

export type Freshness = { isolateTtlMs: number; kvMaxAgeMs: number };
export const DEFAULT_FRESHNESS: Freshness = { isolateTtlMs: 10_000, kvMaxAgeMs: 60_000 };

/** A new key works at most this much later where it was tried before it existed. */
const UNKNOWN_KEY_TTL_MS = 5_000;
/** KV keeps nothing for less; a copy's own age decides whether it is used. */
const KV_EXPIRATION_SECONDS = 60;
const MAX_CALLERS = 2_000;
const MAX_UNKNOWN_KEYS = 10_000;

/**
 * Who asks, and under which policy: the operator's and the tenant's, joined. `version` is that joined policy's, because it is what
 * decides: the operator's document can change and the tenant's stay. It begins with 'strictest' where the tenant's is broken.
 */
export type Caller = { tenant: string; key: string; policy: Policy; version: string };

type Reach = { env: Env; waitUntil: (promise: Promise<unknown>) => void };

export type TenantDirectory = {
  lookup(keySha256: string, reach: Reach): Promise<Caller | null>;
  /** Brings the near copies up to date after a change: the listed keys are read anew, the removed ones disappear. */
  refresh(keys: { current: readonly string[]; removed: readonly string[] }, env: Env): Promise<void>;
};

const KvCopy = z.strictObject({ readAtMs: z.number(), snapshot: TenantSnapshot });
type KvCopy = z.infer<typeof KvCopy>;

export function createTenantDirectory({
  operatorPolicy,
  freshness: { isolateTtlMs, kvMaxAgeMs } = DEFAULT_FRESHNESS,
  now = Date.now,
}: {
  operatorPolicy: Policy;
  freshness?: Freshness;
  now?: () => number;
}): TenantDirectory {
  // Expiry is checked by hand: lru-cache's own clock hangs on a timer, and a timer here dies with the request that set it.
  const callers = new LRUCache<string, { caller: Caller; expiresAtMs: number }>({ max: MAX_CALLERS });
  const unknownKeys = new LRUCache<string, number>({ max: MAX_UNKNOWN_KEYS });

  async function lookup(keySha256: string, { env, waitUntil }: Reach): Promise<Caller | null> {
    const known = callers.get(keySha256);
    if (known !== undefined && known.expiresAtMs > now()) return known.caller;
    if ((unknownKeys.get(keySha256) ?? 0) > now()) return null;

    const snapshot = (await readNearCopy(keySha256, env)) ?? (await readTruth(keySha256, { env, waitUntil }));
    if (snapshot === null) {
      callers.delete(keySha256);
      unknownKeys.set(keySha256, now() + UNKNOWN_KEY_TTL_MS);
      return null;
    }
    const caller = await toCaller(snapshot);
    callers.set(keySha256, { caller, expiresAtMs: now() + isolateTtlMs });
    return caller;
  }

  async function readNearCopy(keySha256: string, env: Env): Promise<TenantSnapshot | null> {
    // A copy that cannot be read is no copy; the truth decides.
    const copy = KvCopy.safeParse(await env.TENANT_SNAPSHOTS.get(kvName(keySha256), 'json').catch(() => null));
    return copy.success && now() - copy.data.readAtMs < kvMaxAgeMs ? copy.data.snapshot : null;
  }

  async function readTruth(keySha256: string, { env, waitUntil }: Reach): Promise<TenantSnapshot | null> {
    // The time before the read: a change during it must make the copy look older, not younger.
    const readAtMs = now();
    const snapshot = await askStore(keySha256, env);
    if (snapshot !== null) waitUntil(writeNearCopy(keySha256, { readAtMs, snapshot }, env));
    return snapshot;
  }

  async function toCaller({ tenant, key, policy: text, version }: TenantSnapshot): Promise<Caller> {
    const stored = await readStoredPolicy(text, version);
    if (stored.problem !== null) logError({ event: 'policy-broken', tenant, version, problem: stored.problem });
    return { tenant, key, ...(await effectivePolicy(operatorPolicy, stored)) };
  }

  async function refresh({ current, removed }: { current: readonly string[]; removed: readonly string[] }, env: Env) {
    for (const key of [...current, ...removed]) {
      callers.delete(key);
      unknownKeys.delete(key);
    }
    const readAtMs = now();
    await Promise.all([
      ...removed.map((key) => deleteNearCopy(key, env)),
      ...current.map(async (key) => {
        const snapshot = await askStore(key, env);
        if (snapshot !== null) await writeNearCopy(key, { readAtMs, snapshot }, env);
      }),
    ]);
  }

  return { lookup, refresh };
}

async function askStore(keySha256: string, env: Env): Promise<TenantSnapshot | null> {
  try {
    return await tenantStore(env).resolveKey(keySha256);
  } catch (cause) {
    // Nobody's policy is known now, so nobody is served.
    throw new PlimsollError('backend_unavailable', 'The tenant store cannot be reached.', { cause });
  }
}

async function writeNearCopy(keySha256: string, copy: KvCopy, env: Env): Promise<void> {
  try {
    await env.TENANT_SNAPSHOTS.put(kvName(keySha256), JSON.stringify(copy), { expirationTtl: KV_EXPIRATION_SECONDS });
  } catch (cause) {
    logError({ event: 'near-copy-not-written', cause });
  }
}

async function deleteNearCopy(keySha256: string, env: Env): Promise<void> {
  try {
    await env.TENANT_SNAPSHOTS.delete(kvName(keySha256));
  } catch (cause) {
    logError({ event: 'near-copy-not-deleted', cause });
  }
}

function kvName(keySha256: string): string {
  return `key:${keySha256}`;
}
