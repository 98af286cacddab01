/** What we know about a tenant: as the operator puts it, and as a request needs it. */
import * as z from 'zod';
import { Policy, PolicyPart } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { wellFormed } from '#shared/api/well-formed.ts';

/** Ids appear in cache keys, receipts and URLs. */
export const Id = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'up to 64 of a-z, 0-9, - and _');

/** Throws if this cannot be the id of a tenant. */
export function parseTenantId(text: string | undefined): string {
  const id = Id.safeParse(text);
  if (id.success) return id.data;
  throw new PlimsollError('invalid_request', "A tenant's id is up to 64 of a-z, 0-9, '-' and '_'.", { param: 'id' });
}

/** This limits how many copies one change has to rewrite. */
export const MAX_KEYS = 64;

/**
 * What a key may do. `inference`: the data plane. `read`: read what concerns its own tenant in the
 * admin API. `admin`: also change it. `prompts`: with `admin`, also read and erase what clients
 * have asked.
 */
const SCOPES = ['inference', 'read', 'admin', 'prompts'] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;

export const Scopes = z
  .array(Scope)
  .min(1)
  .refine(isUnique, { error: 'scopes that differ' })
  .describe('What the key may do.');
const DEFAULT_SCOPES: Scope[] = ['inference'];

/** A moment, in ISO 8601 and UTC. Kept with milliseconds, so that two compare as texts. */
const Moment = z.iso
  .datetime()
  .describe('ISO 8601, in UTC')
  .transform((text) => new Date(text).toISOString());

/** The policy of a level above or below the tenant's own. It may leave anything out. */
const LevelPolicy = PolicyPart;

const KeyDocument = z.strictObject({
  id: Id,
  /** The digest of the key itself, in lower-case hex. Only the holder knows the key. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  scopes: Scopes.default(DEFAULT_SCOPES),
  /** null: it does not expire. */
  expires_at: Moment.nullable().default(null),
  /** Joined with the levels above it, for requests with this key. */
  policy: LevelPolicy.nullable().default(null),
});

const TenantName = wellFormed.min(1).max(200);
const PlanId = Id.nullable();

/** A tenant as a whole, keys included. */
export const TenantDocument = z.strictObject({
  name: TenantName,
  policy: Policy,
  plan: PlanId.default(null),
  keys: z
    .array(KeyDocument)
    .max(MAX_KEYS)
    .refine((keys) => isUnique(keys.map(({ id }) => id)) && isUnique(keys.map(({ sha256 }) => sha256)), {
      error: 'keys that differ in id and in sha256',
    }),
});
export type TenantDocument = z.infer<typeof TenantDocument>;

export const NewTenant = TenantDocument.omit({ keys: true }).extend({ id: Id });
export type NewTenant = z.infer<typeof NewTenant>;

export const TenantChanges = z
  .strictObject({ name: TenantName.exactOptional(), plan: PlanId.exactOptional() })
  .refine((changes) => Object.keys(changes).length > 0, { error: "'name', 'plan' or both" });
export type TenantChanges = z.infer<typeof TenantChanges>;

export const Suspension = z.strictObject({ reason: wellFormed.min(1).max(200).nullable().default(null) });

/** What becomes of a deleted tenant's policies and audit log. */
export const Fate = z.enum(['keep', 'erase']);
export type Fate = z.infer<typeof Fate>;

export const NewKey = z.strictObject({
  /** Left out: the server chooses one. */
  id: Id.exactOptional(),
  scopes: Scopes.default(DEFAULT_SCOPES),
  expires_at: Moment.nullable().default(null),
  policy: LevelPolicy.nullable().default(null),
});
export type NewKey = z.infer<typeof NewKey>;

/** A month. A longer overlap is two keys. */
const MAX_OVERLAP_SECONDS = 31 * 24 * 60 * 60;

export const Rotation = z.strictObject({
  /** The id of the new key. Left out: the server chooses one. */
  id: Id.exactOptional(),
  /** How long the old key still works. */
  overlap_seconds: z.int().min(0).max(MAX_OVERLAP_SECONDS),
  /** When the new key expires. */
  expires_at: Moment.nullable().default(null),
});
export type Rotation = z.infer<typeof Rotation>;

export const NewPolicy = z.strictObject({ policy: Policy });

export const Activation = z.strictObject({
  /** The share of requests, chosen by their hash, that get this version. 1: all of them. */
  share: z.number().gt(0).max(1).default(1),
});

export const PlanDocument = z.strictObject({ name: TenantName, policy: LevelPolicy });
export type PlanDocument = z.infer<typeof PlanDocument>;

/** A stored policy: the canonical text under its content address. Either is null if it is lost. */
const StoredText = z.strictObject({ version: z.string().nullable(), document: z.string().nullable() });

export const SnapshotLevel = StoredText.extend({ level: z.enum(['plan', 'tenant', 'key']) });
export type SnapshotLevel = z.infer<typeof SnapshotLevel>;

/**
 * What one key gives access to. The policies travel as their stored texts, so that whoever reads
 * them can check them against their versions.
 */
export const TenantSnapshot = z.strictObject({
  tenant: z.string(),
  key: z.string(),
  plan: z.string().nullable(),
  suspended: z.boolean(),
  /** Unix milliseconds; null: it does not expire. */
  expires_at: z.number().nullable(),
  scopes: z.array(Scope),
  /**
   * Whether some key of the tenant has a policy of its own. Its limits count the requests of all
   * keys, so those of the others are reserved as well.
   */
  counted: z.boolean(),
  /** From the plan down to the key. A level without a policy is left out. */
  levels: z.array(SnapshotLevel),
  /** The version that a share of requests gets in place of the tenant's own. */
  canary: StoredText.extend({ share: z.number() }).nullable(),
});
export type TenantSnapshot = z.infer<typeof TenantSnapshot>;

function isUnique(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
