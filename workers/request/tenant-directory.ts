/**
 * Finds the tenant of a key's digest. There are three layers, from the nearest to the truth: a map
 * in this isolate, a copy in KV, and the Durable Objects that hold the truth.
 *
 * How old can a policy be? An isolate keeps a snapshot for `isolateTtlMs`. It uses a copy from KV
 * only if that was read from the truth at most `kvMaxAgeMs` ago. The copy carries that time, so
 * KV's own caching cannot stretch it. That makes 70 seconds in the worst case. A change rewrites
 * the copies in KV, so usually it is the isolate's 10 seconds.
 *
 * Whether a key has expired is asked of the clock at each request, so no copy can stretch it. A
 * plan's policy is a part of each copy.
 *
 * A key that does not exist is remembered too, for a few seconds and in a map of its own. So
 * guessing keys neither reaches the store each time nor pushes real tenants out. Whoever sends a
 * new wrong key each time comes to the end of what one address may try (`MOST_WRONG_KEYS`); from
 * then on only keys that are known here or in KV are let in from there, for the rest of a minute.
 * All addresses together have an end too (`MOST_WRONG_KEYS_IN_ALL`), because there is one index for
 * all tenants.
 */
import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import { effectivePolicy, type Level, readLevel } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { tightenAll } from '#policies/tighten.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Caps } from '../objects/tenant-account-contract.ts';
import { type PlanRecord, tenantIndex, tenantObject } from '../objects/tenant-contracts.ts';
import { type Scope, TenantSnapshot } from '../objects/tenant-record.ts';
import type { Env } from './env.ts';
import { logError } from './log.ts';
import { createRateBound } from './rate-bound.ts';

export type Freshness = { isolateTtlMs: number; kvMaxAgeMs: number };
export const DEFAULT_FRESHNESS: Freshness = { isolateTtlMs: 10_000, kvMaxAgeMs: 60_000 };

/** A key that was tried before it existed starts to work at most this much later. */
const UNKNOWN_KEY_TTL_MS = 5_000;
/**
 * How many keys that do not exist one address may try in a minute, in one isolate. A client with a
 * wrong key sends the same one each time, and that counts once every few seconds. An address that
 * many clients share can have as many of them as it likes, at once too, if their keys exist.
 */
export const MOST_WRONG_KEYS = 100;
/**
 * How many of them all addresses together may try in a minute, in one isolate, whether anybody
 * names the addresses or not. That is 500 a second: about what one object answers with ease. Far
 * below it, a few addresses could shut out every key that is new here; far above it, the index
 * would be too busy for all tenants.
 */
export const MOST_WRONG_KEYS_IN_ALL = 30_000;
const WRONG_KEYS_PERIOD_MS = 60_000;
/** The shortest time that KV allows. The age of a copy decides whether it is used. */
const KV_EXPIRATION_SECONDS = 60;
const MAX_CALLERS = 2_000;
const MAX_UNKNOWN_KEYS = 10_000;
const MAX_PROVEN_KEYS = 10_000;

/** What decides about a request: all levels joined. A request adds its own. */
type Standing = {
  policy: Policy;
  /**
   * That of the joined policy, because any level's document can change while the others stay. It
   * begins with 'strictest' if one of them is broken.
   */
  version: string;
};

/** Who asks, and under which policy. */
export type Caller = Standing & {
  tenant: string;
  key: string;
  plan: string | null;
  scopes: readonly Scope[];
  suspended: boolean;
  /** Unix milliseconds; null: the key does not expire. */
  expiresAtMs: number | null;
  /** Whether limits of another key of the tenant may count this key's requests. */
  counted: boolean;
  /** What the tenant may spend with all its keys: without this key's own policy. */
  caps: Caps;
  /** The same without the tenant's own policy. */
  operatorCaps: Caps;
  /** Who is not under the limits of `policy` alone: a trial is under the active version's too. */
  limits?: Policy['limits'];
  /** What a share of requests, chosen by their hash, gets instead. */
  canary: (Standing & { share: number }) | null;
};

type Asking = {
  env: Env;
  /** Who asks, as `clientAddress` names it. null: nobody knows, or we do ourselves. */
  address: string | null;
};
type Reach = Asking & { waitUntil: (promise: Promise<unknown>) => void };

export type TenantDirectory = {
  /**
   * Throws `rate_limit_exceeded` if the address has tried too many keys that do not exist, or all
   * addresses together have.
   */
  lookup(keySha256: string, reach: Reach): Promise<Caller | null>;
  /** The same, but from the truth alone: for what may not be decided by an old copy. */
  lookupTruth(keySha256: string, asking: Asking): Promise<Caller | null>;
  /**
   * Updates the near copies after a change: reads the current keys again and drops the removed
   * ones.
   */
  refresh(keys: KeysOf, env: Env): Promise<void>;
};

/** The keys that a tenant has now, and those that it had before a change. */
type KeysOf = { tenant: string; current: readonly string[]; removed: readonly string[] };

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
  // We check expiry by hand: lru-cache's own clock depends on a timer, and a timer here dies with
  // the request that set it.
  const callers = new LRUCache<string, { caller: Caller; expiresAtMs: number }>({ max: MAX_CALLERS });
  const unknownKeys = new LRUCache<string, number>({ max: MAX_UNKNOWN_KEYS });
  // Keys that existed when they were last looked for. A flood of wrong ones does not shut them out.
  const provenKeys = new LRUCache<string, true>({ max: MAX_PROVEN_KEYS });
  const wrongKeys = createRateBound({ most: MOST_WRONG_KEYS, periodMs: WRONG_KEYS_PERIOD_MS, now });
  const allWrongKeys = createRateBound({ most: MOST_WRONG_KEYS_IN_ALL, periodMs: WRONG_KEYS_PERIOD_MS, now });

  async function lookup(keySha256: string, { address, ...reach }: Reach): Promise<Caller | null> {
    const known = callers.get(keySha256);
    if (known !== undefined && known.expiresAtMs > now()) return known.caller;
    if (isKnownWrong(keySha256)) return null;

    const snapshot =
      (await readNearCopy(keySha256, reach.env)) ??
      (await guarded(keySha256, address, () => readTruth(keySha256, reach)));
    if (snapshot === null) return null;
    // Wherever it was found: its copy in KV may be gone when others try wrong keys.
    provenKeys.set(keySha256, true);
    const caller = await toCaller(snapshot);
    callers.set(keySha256, { caller, expiresAtMs: now() + isolateTtlMs });
    return caller;
  }

  function isKnownWrong(keySha256: string): boolean {
    return (unknownKeys.get(keySha256) ?? 0) > now();
  }

  /**
   * Asks the objects, unless it is known that they know nothing or too many wrong keys came. Only a
   * key that proved wrong counts, once: many customers may share an address, and all come at once.
   * So what an address tries while its first wrong keys are being looked up gets through as well.
   * Lookups of one key do not wait for each other: a request whose client has gone is given up by
   * the runtime, and whoever waited for it would hang.
   */
  async function guarded(
    keySha256: string,
    address: string | null,
    ask: () => Promise<TenantSnapshot | null>,
  ): Promise<TenantSnapshot | null> {
    if (isKnownWrong(keySha256)) return null;
    // A key that existed a while ago is let through, whoever else is at the same address.
    if (!provenKeys.has(keySha256)) demandFewWrongKeys(address);
    const snapshot = await ask();
    if (snapshot !== null) {
      provenKeys.set(keySha256, true);
      return snapshot;
    }
    callers.delete(keySha256);
    provenKeys.delete(keySha256);
    if (!isKnownWrong(keySha256)) {
      if (address !== null) wrongKeys.take(address);
      allWrongKeys.take(EVERYBODY);
    }
    unknownKeys.set(keySha256, now() + UNKNOWN_KEY_TTL_MS);
    return null;
  }

  function demandFewWrongKeys(address: string | null): void {
    const ownWaitMs = address === null ? null : wrongKeys.wait(address);
    if (ownWaitMs !== null) throw tooManyWrongKeys('came from your address', ownWaitMs);
    const waitMs = allWrongKeys.wait(EVERYBODY);
    if (waitMs !== null) throw tooManyWrongKeys('are being tried', waitMs);
  }

  async function readNearCopy(keySha256: string, env: Env): Promise<TenantSnapshot | null> {
    // A copy that cannot be read counts as missing, and the truth decides.
    const copy = KvCopy.safeParse(await env.TENANT_SNAPSHOTS.get(kvName(keySha256), 'json').catch(() => null));
    return copy.success && now() - copy.data.readAtMs < kvMaxAgeMs ? copy.data.snapshot : null;
  }

  async function readTruth(
    keySha256: string,
    { env, waitUntil }: Omit<Reach, 'address'>,
  ): Promise<TenantSnapshot | null> {
    // This is the time before the read: a change during the read must make the copy look older, not
    // younger.
    const readAtMs = now();
    const snapshot = await askObjects(keySha256, env);
    if (snapshot !== null) waitUntil(writeNearCopy(keySha256, { readAtMs, snapshot }, env));
    return snapshot;
  }

  async function lookupTruth(keySha256: string, { env, address }: Asking): Promise<Caller | null> {
    const snapshot = await guarded(keySha256, address, () => askObjects(keySha256, env));
    return snapshot === null ? null : toCaller(snapshot);
  }

  async function toCaller(snapshot: TenantSnapshot): Promise<Caller> {
    const { tenant, key, plan, scopes, suspended, expires_at, counted, canary } = snapshot;
    const levels = await readLevels(tenant, snapshot.levels);
    const caps = capsOf(levels.filter(({ level }) => level !== 'key'));
    const operatorCaps = capsOf(levels.filter(({ level }) => level === 'operator' || level === 'plan'));
    const instead = snapshot.levels.map((level) => (level.level === 'tenant' ? { ...level, ...canary } : level));
    return {
      ...{ tenant, key, plan, scopes, suspended, expiresAtMs: expires_at, counted, caps, operatorCaps },
      ...(await effectivePolicy(levels)),
      canary:
        canary === null ? null : { share: canary.share, ...(await effectivePolicy(await readLevels(tenant, instead))) },
    };
  }

  async function readLevels(tenant: string, stored: TenantSnapshot['levels']): Promise<Level[]> {
    const operator: Level = { level: 'operator', version: null, policy: operatorPolicy, problem: null };
    const below = await Promise.all(stored.map(({ level, document, version }) => readLevel(level, document, version)));
    for (const { level, version, problem } of below) {
      if (problem !== null) logError({ event: 'policy-broken', tenant, level, version, problem });
    }
    return [operator, ...below];
  }

  async function refresh({ tenant, current, removed }: KeysOf, env: Env): Promise<void> {
    for (const key of [...current, ...removed]) {
      callers.delete(key);
      unknownKeys.delete(key);
    }
    const readAtMs = now();
    // The keys are this tenant's, and all are under one plan. So the index, which all tenants
    // share, is asked once for all of them.
    const plans = new Map<string, Promise<PlanRecord | null>>();
    const planOf = (id: string) => {
      const plan = plans.get(id) ?? tenantIndex(env).plan(id);
      plans.set(id, plan);
      return plan;
    };
    await Promise.all([
      ...removed.map((key) => deleteNearCopy(key, env)),
      ...current.map(async (key) => {
        // The change is made. If its copy cannot be made, there is none for a while.
        const snapshot = await askObject(key, { tenant, planOf, env }).catch((cause: unknown) => {
          logError({ event: 'near-copy-not-renewed', cause });
          return null;
        });
        if (snapshot === null) await deleteNearCopy(key, env);
        else await writeNearCopy(key, { readAtMs, snapshot }, env);
      }),
    ]);
  }

  return { lookup, lookupTruth, refresh };
}

/** What may be spent under these levels. */
export function capsOf(levels: readonly Level[]): Caps {
  const { tokens_per_day, tokens_per_month } = tightenAll(levels.map(({ policy }) => policy)).limits;
  return { tokens_per_day, tokens_per_month };
}

/** What the objects say: the index knows whose key it is, and that tenant's object the rest. */
async function askObjects(keySha256: string, env: Env): Promise<TenantSnapshot | null> {
  try {
    const index = tenantIndex(env);
    const located = await index.locate(keySha256);
    if (located === null) return null;
    const { tenant, plan } = located;
    // While a tenant changes its plan, the two may differ for a moment.
    const planOf = async (id: string) => (plan?.id === id ? plan : index.plan(id));
    return await askObject(keySha256, { tenant, planOf, env });
  } catch (cause) {
    // We know nobody's policy now, so we serve nobody.
    throw new PlimsollError('backend_unavailable', 'The tenant store cannot be reached.', { cause });
  }
}

/** The one name in a bound that has none. */
const EVERYBODY = '';

async function askObject(
  keySha256: string,
  { tenant, planOf, env }: { tenant: string; planOf: (id: string) => Promise<PlanRecord | null>; env: Env },
): Promise<TenantSnapshot | null> {
  const snapshot = await tenantObject(env, tenant).resolveKey(tenant, keySha256);
  if (snapshot === null || snapshot.plan === null) return snapshot;
  const plan = await planOf(snapshot.plan);
  const level = { level: 'plan', version: plan?.policy_version ?? null, document: plan?.document ?? null } as const;
  return { ...snapshot, levels: [level, ...snapshot.levels] };
}

function tooManyWrongKeys(how: string, waitMs: number): PlimsollError {
  const retryAfterSeconds = Math.ceil(waitMs / 1000);
  return new PlimsollError(
    'rate_limit_exceeded',
    `Too many wrong API keys ${how}. Try again in ${retryAfterSeconds} s.`,
    { retryAfterSeconds },
  );
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
