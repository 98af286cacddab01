/**
 * What the admin API does with tenants. Each function takes a context that only `requireOperator`
 * or `requireTenantAccess` makes, so a route without them does not compile.
 */
import { effectivePolicy, type Level, readLevel } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { OPERATOR } from '../objects/applied.ts';
import { etagOf, type IfMatch } from '../objects/if-match.ts';
import {
  type ChangeResult,
  type PlanRecord,
  type TenantObjectContract,
  type TenantRow,
  type TenantView,
  tenantIndex,
  tenantObject,
} from '../objects/tenant-contracts.ts';
import type { Fate, NewTenant, TenantChanges, TenantDocument } from '../objects/tenant-record.ts';
import type { KeyDraft, PolicyText, TenantChange, TrafficEvent } from '../objects/tenant-state.ts';
import type { AppContext, OperatorEnv, TenantAccessEnv } from '../request/context.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import type { TenantAnswer } from './admin-answers.ts';
import { demandPolicyTests } from './policy-tests.ts';
import { noSuchTenant } from './require-access.ts';

export type OperatorContext = Pick<AppContext<OperatorEnv>, 'env' | 'var'>;
export type TenantContext = Pick<AppContext<TenantAccessEnv>, 'env' | 'var'>;
/** What the routes of the admin API have in common. */
export type Admin = { directory: TenantDirectory; operatorPolicy: Policy; classifier: Classifier };
type Reach = { c: TenantContext; admin: Admin };

/** Creates a tenant or replaces it as a whole. Putting the same document twice makes one change. */
export async function putTenant(
  { document, ifMatch, onlyNew }: { document: TenantDocument; ifMatch: IfMatch; onlyNew: boolean },
  { c, admin }: { c: TenantContext; admin: Admin },
) {
  const { tenant: id, actor } = c.var.access;
  const policy = await policyText(document.policy);
  const keys = await Promise.all(document.keys.map(keyDraft));
  await demandTests(document, { c, admin });
  for (const [index, { policy: own }] of document.keys.entries()) {
    if (own === null) continue;
    const { plan, policy: tenantPolicy } = document;
    await demandTests({ plan, policy: own, tenantPolicy }, { c, admin, param: `keys[${index}].policy.tests` });
  }
  const change: TenantChange = {
    type: 'put',
    name: document.name,
    plan: document.plan,
    policy,
    keys,
    onlyNew,
  };
  const { tenant, changed } = await changeTenant(id, change, { c, admin, actor, ifMatch });
  return { id, name: tenant.name, policy_version: tenant.policy_version, changed, revision: tenant.revision };
}

/** Creates a tenant without keys. */
export async function createTenant(
  { id, name, plan, policy }: NewTenant,
  { c, admin }: { c: OperatorContext; admin: Admin },
): Promise<TenantAnswer> {
  const text = await policyText(policy);
  await demandTests({ plan, policy }, { c, admin });
  const change: TenantChange = { type: 'put', name, plan, policy: text, keys: null, onlyNew: true };
  const { tenant } = await changeTenant(id, change, { c, admin, actor: c.var.operator, ifMatch: 'any' });
  return describeTenant(tenant, { c, admin });
}

export async function readTenant({ c, admin }: { c: TenantContext; admin: Admin }): Promise<TenantAnswer> {
  return describeTenant(await viewOf(c), { c, admin });
}

/** Changes the fields that are named. */
export async function patchTenant(changes: TenantChanges, reach: Reach & { ifMatch: IfMatch }): Promise<TenantAnswer> {
  const { tenant } = await changeOwnTenant({ type: 'patch', ...changes }, reach);
  return describeTenant(tenant, reach);
}

/** From now on its keys are refused. */
export async function suspendTenant({ reason }: { reason: string | null }, reach: Reach): Promise<TenantAnswer> {
  return describeTenant((await changeOwnTenant({ type: 'suspend', reason }, reach)).tenant, reach);
}

export async function resumeTenant(reach: Reach): Promise<TenantAnswer> {
  return describeTenant((await changeOwnTenant({ type: 'resume' }, reach)).tenant, reach);
}

/** Makes a change of the tenant in the path. */
export async function changeOwnTenant(
  change: TenantChange,
  { c, admin, ifMatch = 'any' }: { c: TenantContext; admin: Admin; ifMatch?: IfMatch },
): Promise<{ tenant: TenantView; changed: boolean }> {
  const { tenant, actor } = c.var.access;
  await demandTenant(c);
  return changeTenant(tenant, change, { c, admin, actor, ifMatch });
}

/**
 * Deletes a tenant. An erasure that broke off goes on with the same call, until all is erased: for
 * everybody else the tenant is gone already.
 */
export async function deleteTenant(
  { fate, ifMatch }: { fate: Fate; ifMatch: IfMatch },
  { c, admin }: { c: TenantContext; admin: Admin },
): Promise<{ id: string; deleted: true; data: Fate }> {
  const { tenant: id, actor } = c.var.access;
  if (fate === 'erase' && (await finishErasure(id, c))) return { id, deleted: true, data: fate };
  await demandTenant(c);
  await changed(
    id,
    (object) =>
      fate === 'erase'
        ? object.erase(id, { actor, ifMatch })
        : object.change(id, { type: 'delete' }, { actor, ifMatch }),
    { c, admin, actor },
  );
  return { id, deleted: true, data: fate };
}

async function finishErasure(id: string, { env }: TenantContext): Promise<boolean> {
  const row = await asking(() => tenantIndex(env).tenant(id));
  return row !== null && asking(() => tenantObject(env, id).finishErasure(id));
}

/**
 * A page of tenants, in the order of their ids. If a tenant's stored policy is broken, the list
 * shows the problem and the policy in force, which is the strictest.
 */
export async function listTenants(
  { after, limit }: { after: string; limit: number },
  { c, admin }: { c: OperatorContext; admin: Admin },
): Promise<{ data: TenantAnswer[]; has_more: boolean; last_id: string | null }> {
  const rows = await tenantIndex(c.env).listTenants({ after, limit: limit + 1 });
  const page = rows.slice(0, limit);
  const plans = new Map((await tenantIndex(c.env).listPlans()).map((plan) => [plan.id, plan]));
  const tenants = await Promise.all(
    page
      .filter(({ state }) => state !== 'erased')
      .map(async ({ id }: TenantRow) => {
        const view = await asking(() => tenantObject(c.env, id).read(id));
        // The index hears of a tenant a moment before its object does.
        return view === null ? null : describe(view, { admin, plan: planLevel(view.plan, plans.get(view.plan ?? '')) });
      }),
  );
  return {
    data: (await Promise.all(tenants)).filter((tenant) => tenant !== null),
    has_more: rows.length > limit,
    last_id: page.at(-1)?.id ?? null,
  };
}

/** Throws if the tenant in the path is not there. */
export async function demandTenant(c: TenantContext): Promise<void> {
  const row = await asking(() => tenantIndex(c.env).tenant(c.var.access.tenant));
  if (row === null || row.state === 'erased') throw noSuchTenant();
}

export async function viewOf(c: TenantContext): Promise<TenantView> {
  await demandTenant(c);
  const { tenant } = c.var.access;
  const view = await asking(() => tenantObject(c.env, tenant).read(tenant));
  if (view === null) throw noSuchTenant();
  return view;
}

async function changeTenant(
  id: string,
  change: TenantChange,
  { c, admin, actor, ifMatch }: { c: Pick<AppContext, 'env'>; admin: Admin; actor: string; ifMatch: IfMatch },
): Promise<{ tenant: TenantView; changed: boolean }> {
  return changed(id, (object) => object.change(id, change, { actor, ifMatch }), { c, admin, actor });
}

/**
 * Makes a change, and brings the copies near to requests up to date. What has changed nothing needs
 * that only if an earlier try broke off. It costs a write for each key, so a tenant's own key gets
 * it for changes alone, which are bounded.
 */
export async function changed(
  id: string,
  make: (object: TenantObjectContract) => Promise<ChangeResult>,
  { c, admin, actor }: { c: Pick<AppContext, 'env'>; admin: Admin; actor: string },
): Promise<{ tenant: TenantView; changed: boolean }> {
  const { tenant, changed, removedKeys } = await made(id, make, { c, admin });
  if (changed || actor === OPERATOR) {
    const keys = { current: tenant.keys.map(({ sha256 }) => sha256), removed: removedKeys };
    await admin.directory.refresh({ tenant: id, ...keys }, c.env);
  }
  return { tenant, changed };
}

/** Notes in the log of the tenant in the path what changes nothing that a request needs. */
export async function noteOwnTenant(event: TrafficEvent, { c, admin }: Reach): Promise<void> {
  const { tenant: id, actor } = c.var.access;
  await demandTenant(c);
  await made(id, (object) => object.change(id, event, { actor, ifMatch: 'any' }), { c, admin });
}

async function made(
  id: string,
  make: (object: TenantObjectContract) => Promise<ChangeResult>,
  { c, admin }: { c: Pick<AppContext, 'env'>; admin: Admin },
): Promise<Extract<ChangeResult, { refused: null }>> {
  const ask = () => asking(() => make(tenantObject(c.env, id)));
  let result = await ask();
  const holder = result.refused?.holder;
  if (holder !== undefined) {
    // The holder may have crashed before it took the key. Then the key is free.
    await asking(() => tenantObject(c.env, holder).heal(holder));
    result = await ask();
  }
  if (result.refused !== null) {
    const { code, message, param, retryAfterSeconds } = result.refused;
    const { current } = result;
    const isAboutCurrent = current !== null && code.startsWith('precondition_');
    const value = isAboutCurrent && (await describeTenant(current, { c, admin }));
    throw new PlimsollError(code, message, {
      param,
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      ...(isAboutCurrent && { current: { etag: etagOf(current.revision), value } }),
    });
  }
  return result;
}

/** An object that cannot be reached is no mistake of the caller. */
export async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new PlimsollError('backend_unavailable', 'The tenant store cannot be reached.', { cause });
  }
}

export async function describeTenant(
  view: TenantView,
  { c, admin }: { c: Pick<AppContext, 'env'>; admin: Admin },
): Promise<TenantAnswer> {
  const { plan } = view;
  const record = plan === null ? null : await asking(() => tenantIndex(c.env).plan(plan));
  return describe(view, { admin, plan: planLevel(plan, record) });
}

function planLevel(id: string | null, plan: PlanRecord | null | undefined): Promise<Level> | null {
  return id === null ? null : readLevel('plan', plan?.document ?? null, plan?.policy_version ?? null);
}

async function describe(
  { policy: text, ...view }: TenantView,
  { admin: { operatorPolicy }, plan }: { admin: Admin; plan: Promise<Level> | null },
): Promise<TenantAnswer> {
  const stored = await readLevel('tenant', text, view.policy_version);
  const operator: Level = { level: 'operator', version: null, policy: operatorPolicy, problem: null };
  const { version } = await effectivePolicy([operator, ...(plan === null ? [] : [await plan]), stored]);
  return {
    ...view,
    state: view.deleted_at !== null ? 'deleted' : view.suspended !== null ? 'suspended' : 'active',
    effective_version: version,
    policy: stored.policy,
    problem: stored.problem,
  };
}

/**
 * Throws unless a policy that is to go live passes its own tests, under the levels above it. A
 * key's has its tenant's policy there too.
 */
export async function demandTests(
  { plan: id, policy, tenantPolicy }: { plan: string | null; policy: Policy; tenantPolicy?: Policy },
  { c, admin: { operatorPolicy, classifier }, param }: { c: Pick<AppContext, 'env'>; admin: Admin; param?: string },
): Promise<void> {
  if (policy.tests.length === 0) return;
  const above = [
    ...(await policiesAbove(id, { c, operatorPolicy })),
    ...(tenantPolicy === undefined ? [] : [tenantPolicy]),
  ];
  await demandPolicyTests(policy, { classifier, above, param });
}

/** What holds above a tenant's own policy: the operator's and the plan's. */
export async function policiesAbove(
  plan: string | null,
  { c, operatorPolicy }: { c: Pick<AppContext, 'env'>; operatorPolicy: Policy },
): Promise<Policy[]> {
  return [operatorPolicy, ...(await levelOfPlan(plan, c)).map(({ policy }) => policy)];
}

/** The level of a tenant's plan; none without a plan. */
export async function levelOfPlan(id: string | null, c: Pick<AppContext, 'env'>): Promise<Level[]> {
  const plan = id === null ? null : planLevel(id, await asking(() => tenantIndex(c.env).plan(id)));
  return plan === null ? [] : [await plan];
}

/**
 * Every isolate that a key is used in holds the policies of its levels, and a policy's tests run on
 * the one thread that everybody's requests share. So no tenant may store a large one.
 */
const MAX_POLICY_CHARACTERS = 64 * 1024;

/** The canonical text of a policy, under its content address. */
export async function policyText(policy: Policy): Promise<PolicyText> {
  const document = canonicalPolicy(policy);
  if (document.length > MAX_POLICY_CHARACTERS) {
    throw new PlimsollError(
      'invalid_value',
      `A policy has at most ${MAX_POLICY_CHARACTERS} characters, its tests included; this one has ${document.length}.`,
      { param: 'policy' },
    );
  }
  return { document, version: await policyVersion(document) };
}

export async function keyDraft({
  policy,
  ...key
}: Omit<KeyDraft, 'policy' | 'replaces'> & { policy: Policy | null }): Promise<KeyDraft> {
  return { ...key, replaces: null, policy: policy === null ? null : await policyText(policy) };
}
