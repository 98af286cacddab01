/**
 * Requests under a version of a tenant's policy that need not be active: what it would say to a
 * prompt, before anybody is under it. The levels above it hold as always, and so does the policy
 * of the key that asks. What a trial costs goes through the tenant's account, and a key of the
 * tenant needs the scope for it that clients need.
 */
import { effectivePolicy, type Level, readLevel } from '#policies/effective.ts';
import { tightenAll } from '#policies/tighten.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type MeterEnv, meterAfter } from '../gateway/limits.ts';
import { type TenantView, tenantObject } from '../objects/tenant-contracts.ts';
import type { AppContext, BodyEnv, CallerEnv, Middleware, TenantAccessEnv } from '../request/context.ts';
import { type Caller, capsOf } from '../request/tenant-directory.ts';
import { readPolicy } from './policies.ts';
import { noSuchTenant } from './require-access.ts';
import { type Admin, asking, levelOfPlan, type TenantContext, viewOf } from './tenants.ts';

/** On routes behind `standingAfter`. `levels` are all but the request's. */
export type StandingEnv = TenantAccessEnv & CallerEnv & BodyEnv & { Variables: { levels: readonly Level[] } };
/** On routes behind `trialAfter`. */
export type TrialEnv = StandingEnv & MeterEnv;

/**
 * Finds out who asks and reads the body, and stands the caller under the version in the path, or
 * under the active one where the path names none.
 */
export function standingAfter(admit: Middleware<TenantAccessEnv & BodyEnv>, admin: Admin): Middleware<StandingEnv> {
  // The cast: to Hono's types, a context that has room for more is none for what runs before.
  const first = admit as unknown as Middleware<StandingEnv>;
  return function standingAfter(c, next) {
    return first(c, async () => {
      const { caller, levels } = await standUnder(c.req.param('version'), { c, admin });
      c.set('levels', levels);
      c.set('caller', caller);
      await next();
    });
  };
}

/** The same under the meter, for what costs tokens. */
export function trialAfter(standing: Middleware<StandingEnv>): Middleware<TrialEnv> {
  // The casts: as above.
  return meterAfter(standing as unknown as Middleware<CallerEnv & BodyEnv>) as unknown as Middleware<TrialEnv>;
}

/** Throws unless whoever asks may spend the tenant's tokens: changing policies is another right. */
export function demandInference(c: Pick<AppContext<TenantAccessEnv>, 'var'>): void {
  if (c.var.access.mayInfer) return;
  throw new PlimsollError(
    'permission_denied',
    "This costs the tenant tokens, so the API key needs the scope 'inference' beside 'admin'.",
  );
}

async function standUnder(
  version: string | undefined,
  { c, admin }: { c: TenantContext & Pick<AppContext<TenantAccessEnv>, 'req'>; admin: Admin },
): Promise<{ caller: Caller; levels: Level[] }> {
  const view = await viewOf(c);
  if (view.deleted_at !== null) throw noSuchTenant();
  if (view.suspended !== null) {
    throw new PlimsollError('tenant_suspended', 'This tenant is suspended, so nothing is answered in its name.');
  }
  const { actor } = c.var.access;
  const active = await levelOfVersion(view.policy_version, c);
  const tried = version === undefined ? active : await levelOfVersion(version, c);
  const above: Level[] = [
    { level: 'operator', version: null, policy: admin.operatorPolicy, problem: null },
    ...(await levelOfPlan(view.plan, c)),
  ];
  const levels = [...above, tried, ...(await levelOfActor(actor, view, c))];
  // A trial spends what clients spend, so the active version's limits hold beside those of the one
  // that is tried.
  const { limits } = tightenAll([...levels, active].map(({ policy }) => policy));
  const caller: Caller = {
    tenant: view.id,
    // No key can have such an id, so no trial draws what a client's request draws.
    key: `trial:${actor}`,
    plan: view.plan,
    scopes: [],
    suspended: false,
    expiresAtMs: null,
    counted: true,
    caps: capsOf([...above, active]),
    operatorCaps: capsOf(above),
    limits,
    canary: null,
    ...(await effectivePolicy(levels)),
  };
  return { caller, levels };
}

async function levelOfVersion(version: string, c: TenantContext): Promise<Level> {
  const { policy, problem } = await readPolicy(version, c);
  return { level: 'tenant', version, policy, problem };
}

/** The policy that the asking key has of its own. */
async function levelOfActor(actor: string, { id, keys }: TenantView, c: TenantContext): Promise<Level[]> {
  const version = keys.find((key) => actor === `key:${key.id}`)?.policy_version ?? null;
  if (version === null) return [];
  const stored = await asking(() => tenantObject(c.env, id).policy(id, version));
  return [await readLevel('key', stored?.document ?? null, version)];
}
