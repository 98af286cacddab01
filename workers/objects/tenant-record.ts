/** What we know about a tenant: as the operator puts it, and as a request needs it. */
import * as z from 'zod';
import { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { wellFormed } from '#shared/api/well-formed.ts';

/** Ids appear in cache keys, receipts and URLs. */
const Id = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'up to 64 of a-z, 0-9, - and _');

/** Throws if this cannot be the id of a tenant. */
export function parseTenantId(text: string | undefined): string {
  const id = Id.safeParse(text);
  if (id.success) return id.data;
  throw new PlimsollError('invalid_request', "A tenant's id is up to 64 of a-z, 0-9, '-' and '_'.", { param: 'id' });
}

/** This limits how many copies one change has to rewrite. */
const MAX_KEYS = 64;

const Key = z.strictObject({
  id: Id,
  /** The digest of the key itself, in lower-case hex. Only the holder knows the key. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
});

export const TenantDocument = z.strictObject({
  name: wellFormed.min(1).max(200),
  policy: Policy,
  keys: z
    .array(Key)
    .max(MAX_KEYS)
    .refine((keys) => isUnique(keys.map(({ id }) => id)) && isUnique(keys.map(({ sha256 }) => sha256)), {
      error: 'keys that differ in id and in sha256',
    }),
});
export type TenantDocument = z.infer<typeof TenantDocument>;

/**
 * What one key gives access to. The policy travels as its stored text, so that whoever reads it can
 * check it against its version.
 */
export const TenantSnapshot = z.strictObject({
  tenant: z.string(),
  key: z.string(),
  policy: z.string().nullable(),
  version: z.string().nullable(),
});
export type TenantSnapshot = z.infer<typeof TenantSnapshot>;

function isUnique(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
