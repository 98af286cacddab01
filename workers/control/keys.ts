/** Keys of a tenant: made here, shown once, stored as their digest only. */
import { readLevel } from '#policies/effective.ts';
import { LOOSEST, type Policy } from '#policies/schema.ts';
import { tighten } from '#policies/tighten.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { type TenantView, tenantObject } from '../objects/tenant-contracts.ts';
import type { NewKey, Rotation } from '../objects/tenant-record.ts';
import { makeKey } from '../request/key-form.ts';
import type { KeyAnswer, NewKeyAnswer, RotationAnswer } from './admin-answers.ts';
import {
  type Admin,
  asking,
  changeOwnTenant,
  demandTests,
  keyDraft,
  policyText,
  type TenantContext,
  viewOf,
} from './tenants.ts';

export async function createKey(
  { id = newId(), scopes, expires_at, policy }: NewKey,
  { c, admin }: { c: TenantContext; admin: Admin },
): Promise<NewKeyAnswer> {
  demandFuture(expires_at);
  const { key, sha256 } = await newSecret();
  const maker = await makerOf(c);
  const joined = maker.policy === null ? policy : tightenedBy(maker.policy, policy ?? LOOSEST);
  // First its size is checked: its tests run on everybody's thread.
  const draft = await keyDraft({ id, sha256, scopes, expires_at, policy: joined });
  if (joined !== null) await demandTests({ ...(await levelsOver(maker.tenant)), policy: joined }, { c, admin });
  const { tenant } = await changeOwnTenant({ type: 'key-create', key: draft, under: maker.version }, { c, admin });
  return { ...keyOf(tenant, id), key };
}

export async function rotateKey(
  { key: old, id = newId(), overlap_seconds, expires_at }: Rotation & { key: string },
  { c, admin }: { c: TenantContext; admin: Admin },
): Promise<RotationAnswer> {
  demandFuture(expires_at);
  const { key, sha256 } = await newSecret();
  const oldExpiresAt = new Date(Date.now() + overlap_seconds * 1000).toISOString();
  const maker = await makerOf(c);
  const before = maker.keys.find((each) => each.id === old)?.policy_version ?? null;
  // The operator, a key without a policy, and a key that replaces itself have nothing to add.
  const policy =
    maker.policy === null || maker.version === before
      ? undefined
      : tightenedBy(maker.policy, (await keyPolicy(before, c)) ?? LOOSEST);
  const draft = { id, sha256, expires_at, ...(policy && { policy: await policyText(policy) }) };
  const change = { type: 'key-rotate', id: old, key: draft, oldExpiresAt, under: maker.version, of: before } as const;
  const { tenant } = await changeOwnTenant(change, { c, admin });
  return { key: { ...keyOf(tenant, id), key }, replaced: keyOf(tenant, old) };
}

/**
 * Who makes a key: the tenant's keys, and the policy of the one that asks. The operator has none.
 */
async function makerOf(c: TenantContext) {
  const tenant = await viewOf(c);
  const { keys } = tenant;
  const maker = keys.find(({ id }) => `key:${id}` === c.var.access.actor);
  const version = maker?.policy_version ?? null;
  return { tenant, keys, version, policy: await keyPolicy(version, c) };
}

/** The plan over a tenant's keys, and its policy in force. */
async function levelsOver({ plan, policy, policy_version }: TenantView) {
  return { plan, tenantPolicy: (await readLevel('tenant', policy, policy_version)).policy };
}

/** A key's own policy, as it counts: the strictest if its text is lost or broken. */
async function keyPolicy(version: string | null, c: TenantContext): Promise<Policy | null> {
  if (version === null) return null;
  const { tenant } = c.var.access;
  const stored = await asking(() => tenantObject(c.env, tenant).policy(tenant, version));
  return (await readLevel('key', stored?.document ?? null, version)).policy;
}

/** Both joined; the words are those of the new key, or else its maker's. */
function tightenedBy(maker: Policy, policy: Policy): Policy {
  const { description, refusal, tests } = policy;
  return { ...tighten(maker, policy), description, tests, refusal: refusal ?? maker.refusal };
}

function keyOf({ keys }: TenantView, id: string): KeyAnswer {
  const key = keys.find((each) => each.id === id);
  if (key === undefined) throw new Error(`no key '${id}' after it was made`);
  return key;
}

async function newSecret(): Promise<{ key: string; sha256: string }> {
  const key = await makeKey();
  return { key, sha256: await sha256Hex(key) };
}

function newId(): string {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return `key-${random.toString(16).padStart(8, '0')}`;
}

function demandFuture(expiresAt: string | null): void {
  if (expiresAt === null || Date.parse(expiresAt) > Date.now()) return;
  throw new PlimsollError('invalid_value', "Invalid value for 'expires_at': expected a moment to come.", {
    param: 'expires_at',
  });
}
