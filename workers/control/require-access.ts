/** Who may call the admin API. */
import { LRUCache } from 'lru-cache';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseTenantId } from '../objects/tenant-record.ts';
import { admit, wrongKey } from '../request/authenticate.ts';
import { clientAddress } from '../request/client-address.ts';
import type { AppContext, AppEnv, Middleware, OperatorEnv, TenantAccessEnv } from '../request/context.ts';
import { type Credential, credentialOf, demandSameHolder } from '../request/credential.ts';
import { isOperatorKey } from '../request/operator-key.ts';
import { createRateBound, type RateBound } from '../request/rate-bound.ts';
import type { Caller, TenantDirectory } from '../request/tenant-directory.ts';

/** How often keys may call. Shared by all routes that a tenant's keys may call. */
export type Calls = {
  byKey: RateBound;
  byTenant: RateBound;
  /**
   * Whose key a digest was when it last called, so that a flood is stopped before the stores. A key
   * that turns out to be nobody's is dropped, or its holder could use up what its former tenant
   * has.
   */
  tenants: LRUCache<string, string>;
};

export function boundOnCalls(): Calls {
  const bound = () => createRateBound({ most: MOST_CALLS, periodMs: CALLS_PERIOD_MS });
  return { byKey: bound(), byTenant: bound(), tenants: new LRUCache({ max: MAX_KNOWN_KEYS }) };
}

/** Lets only the operator's key through. */
export function requireOperator(): Middleware<OperatorEnv> {
  return async function requireOperator(c, next) {
    const { isOperator } = await whoAsks(c);
    if (!isOperator) throw needsOperator();
    c.set('operator', 'operator');
    await next();
  };
}

/**
 * Lets the operator's key through, and keys of the tenant in the path that have the scope. For a
 * key of another tenant there is no such tenant. The truth decides, not a copy of it. `operator`:
 * no key of a tenant. `calls` bounds how often a tenant's keys may ask; calls that are refused
 * count as well, but not those of keys that are revoked or over. `urgent`: the tenant's other keys
 * cannot use up what there is.
 */
export function requireTenantAccess(
  directory: TenantDirectory,
  scope: 'read' | 'admin' | 'operator',
  calls: Calls,
  { urgent = false }: { urgent?: boolean } = {},
): Middleware<TenantAccessEnv> {
  return async function requireTenantAccess(c, next) {
    const { isOperator, isNoKey, digest, session } = await whoAsks(c);
    if (!isOperator && scope === 'operator') throw needsOperator();
    if (isOperator || scope === 'operator') {
      const tenant = parseTenantId(c.req.param('id'));
      c.set('access', { tenant, actor: 'operator', mayInfer: true, mayReadPrompts: true });
    } else {
      if (isNoKey) throw wrongKey();
      const asking = { env: c.env, address: clientAddress(c.req.raw) };
      const found = await countedCall(digest, () => directory.lookupTruth(digest, asking), { calls, urgent });
      if (found !== null) demandSameHolder({ session }, found.tenant);
      const caller = admit(found, { scope, now: Date.now() });
      if (caller.tenant !== c.req.param('id')) throw noSuchTenant();
      const { tenant, key: id, scopes } = caller;
      const rights = { mayInfer: scopes.includes('inference'), mayReadPrompts: scopes.includes('prompts') };
      c.set('access', { tenant, actor: `key:${id}`, ...rights });
    }
    await next();
  };
}

export function noSuchTenant(): PlimsollError {
  return new PlimsollError('not_found', 'There is no such tenant.', { param: 'id' });
}

/**
 * How often all keys of a tenant may call the admin API in a minute, in one isolate. Each call asks
 * two objects, and some read a whole log.
 */
export const MOST_CALLS = 300;
const CALLS_PERIOD_MS = 60_000;
const MAX_KNOWN_KEYS = 10_000;

/**
 * Looks a key up, if there is room for its call. The tenant that it was of pays in advance, and
 * gets that back if the key is not its any more, or if nobody could be asked.
 */
async function countedCall(
  digest: string,
  lookup: () => Promise<Caller | null>,
  { calls: { byKey, byTenant, tenants }, urgent }: { calls: Calls; urgent: boolean },
): Promise<Caller | null> {
  const known = tenants.get(digest) ?? null;
  demandRoom(byKey, digest);
  if (known !== null && !urgent) demandRoom(byTenant, known);
  let holder: string | null = null;
  try {
    const found = await lookup();
    holder = found === null || isOver(found) ? null : found.tenant;
    if (holder === null) tenants.delete(digest);
    else tenants.set(digest, holder);
    if (holder !== null && holder !== known && !urgent) demandRoom(byTenant, holder);
    return found;
  } finally {
    if (known !== null && holder !== known && !urgent) byTenant.giveBack(known);
  }
}

function isOver({ expiresAtMs }: Caller): boolean {
  return expiresAtMs !== null && expiresAtMs <= Date.now();
}

function demandRoom(bound: RateBound, name: string): void {
  const waitMs = bound.take(name);
  if (waitMs === null) return;
  const retryAfterSeconds = Math.ceil(waitMs / 1000);
  const message = `The keys of a tenant call the admin API at most ${MOST_CALLS} times a minute. Try again in ${retryAfterSeconds} s.`;
  throw new PlimsollError('rate_limit_exceeded', message, { retryAfterSeconds });
}

const needsOperator = () => new PlimsollError('invalid_api_key', 'This route needs the operator key.');

async function whoAsks<E extends AppEnv>(
  c: Pick<AppContext<E>, 'req' | 'var' | 'env'>,
): Promise<Credential & { isOperator: boolean }> {
  const credential = await credentialOf(c);
  const isOperator = isOperatorKey(credential.digest, c.var.config);
  // A key that was a tenant's at the sign-in does not become the operator's.
  if (isOperator) demandSameHolder(credential, null);
  return { ...credential, isOperator };
}
