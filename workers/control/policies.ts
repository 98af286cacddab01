/** The life of a tenant's policy: draft, canary, active, rolled back. Every version is kept. */
import type * as z from 'zod';
import { diffPolicies } from '#policies/diff.ts';
import { readLevel } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { IfMatch } from '../objects/if-match.ts';
import { tenantObject } from '../objects/tenant-contracts.ts';
import type { TenantAnswer } from './admin-answers.ts';
import { type PolicyTestsAnswer, testPolicy } from './policy-tests.ts';
import {
  type Admin,
  asking,
  changeOwnTenant,
  demandTests,
  describeTenant,
  policiesAbove,
  policyText,
  type TenantContext,
  viewOf,
} from './tenants.ts';

type Reach = { c: TenantContext; admin: Admin };

/** Stores a version that decides nothing yet. */
export async function draftPolicy(policy: Policy, { c, admin }: Reach) {
  const text = await policyText(policy);
  const { changed } = await changeOwnTenant({ type: 'policy-draft', policy: text }, { c, admin });
  return { version: text.version, created: changed };
}

/** @param share of the requests that get this version; 1 makes it the active one */
export async function activatePolicy(
  { version, share, ifMatch }: { version: string; share: number; ifMatch: IfMatch },
  { c, admin }: Reach,
): Promise<TenantAnswer> {
  const { plan } = await viewOf(c);
  await demandTests({ plan, policy: (await readPolicy(version, c)).policy }, { c, admin });
  const change = { type: 'policy-activate', version, share } as const;
  return describeTenant((await changeOwnTenant(change, { c, admin, ifMatch })).tenant, { c, admin });
}

/** Runs a version's own tests as its activation would, and changes nothing. */
export async function testVersion(
  version: string,
  { c, admin: { classifier, operatorPolicy } }: Reach,
): Promise<z.infer<typeof PolicyTestsAnswer>> {
  const { plan } = await viewOf(c);
  const { policy } = await readPolicy(version, c);
  const above = policy.tests.length === 0 ? [] : await policiesAbove(plan, { c, operatorPolicy });
  return testPolicy({ policy, version }, { classifier, above });
}

/** Ends a canary; without one, goes back to the version that was active before. */
export async function rollbackPolicy({ ifMatch, ...reach }: Reach & { ifMatch: IfMatch }): Promise<TenantAnswer> {
  const { tenant } = await changeOwnTenant({ type: 'policy-rollback' }, { ...reach, ifMatch });
  return describeTenant(tenant, reach);
}

export async function policyHistory(c: TenantContext) {
  const { id, policy_version, canary } = await viewOf(c);
  const history = await asking(() => tenantObject(c.env, id).history(id));
  return {
    object: 'policy.history' as const,
    active: policy_version,
    canary,
    versions: history?.versions ?? [],
    activations: (history?.activations ?? []).map(({ previous: _, ...activation }) => activation),
  };
}

/** What sets a version apart from another, or from the active one, field by field. */
export async function diffPolicy({ version, from }: { version: string; from: string | undefined }, c: TenantContext) {
  const against = from ?? (await viewOf(c)).policy_version;
  const [before, after] = [await readPolicy(against, c), await readPolicy(version, c)];
  return { from: against, to: version, changes: diffPolicies(before.policy, after.policy) };
}

export async function readPolicy(version: string, c: TenantContext) {
  const { id } = await viewOf(c);
  const stored = await asking(() => tenantObject(c.env, id).policy(id, version));
  if (stored === null) {
    throw new PlimsollError('not_found', `This tenant has no policy of version '${version}'.`, { param: 'version' });
  }
  const { policy, problem } = await readLevel('tenant', stored.document, version);
  return { version, created_at: stored.created_at, policy, problem };
}
