/** Keys of a tenant: made here, shown once, stored as their digest only. */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { TenantView } from '../objects/tenant-contracts.ts';
import type { NewKey, Rotation } from '../objects/tenant-record.ts';
import { makeKey } from '../request/key-form.ts';
import type { KeyAnswer, NewKeyAnswer, RotationAnswer } from './admin-answers.ts';
import { type Admin, changeOwnTenant, keyDraft, type TenantContext } from './tenants.ts';

export async function createKey(
  { id = newId(), scopes, expires_at, policy }: NewKey,
  { c, admin }: { c: TenantContext; admin: Admin },
): Promise<NewKeyAnswer> {
  demandFuture(expires_at);
  const { key, sha256 } = await newSecret();
  const draft = await keyDraft({ id, sha256, scopes, expires_at, policy });
  const { tenant } = await changeOwnTenant({ type: 'key-create', key: draft }, { c, admin });
  return { ...keyOf(tenant, id), key };
}

export async function rotateKey(
  { key: old, id = newId(), overlap_seconds, expires_at }: Rotation & { key: string },
  { c, admin }: { c: TenantContext; admin: Admin },
): Promise<RotationAnswer> {
  demandFuture(expires_at);
  const { key, sha256 } = await newSecret();
  const oldExpiresAt = new Date(Date.now() + overlap_seconds * 1000).toISOString();
  const change = { type: 'key-rotate', id: old, key: { id, sha256, expires_at }, oldExpiresAt } as const;
  const { tenant } = await changeOwnTenant(change, { c, admin });
  return { key: { ...keyOf(tenant, id), key }, replaced: keyOf(tenant, old) };
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
