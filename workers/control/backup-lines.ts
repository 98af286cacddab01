/**
 * A backup as JSON Lines: a head, the plans, the tenants, and an end that counts them. The history
 * of a tenant comes before its line, in parts, because it may be of any length.
 */
import * as z from 'zod';
import { Id, Scopes } from '../objects/tenant-record.ts';

const Version = z.string();
const Moment = z.string();

const KeyRecord = z.strictObject({
  id: Id,
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits'),
  scopes: Scopes,
  created_at: Moment,
  expires_at: Moment.nullable(),
  policy_version: Version.nullable(),
  replaces: z.string().nullable(),
});

const TenantState = z.strictObject({
  name: z.string(),
  plan: Id.nullable(),
  policy_version: Version,
  activation: z.int(),
  canary: z.strictObject({ version: Version, share: z.number() }).nullable(),
  suspended: z.strictObject({ at: Moment, reason: z.string().nullable() }).nullable(),
  deleted_at: Moment.nullable(),
  created_at: Moment,
  updated_at: Moment,
  revision: z.int(),
  keys: z.array(KeyRecord),
});

const Activation = z.strictObject({
  seq: z.int(),
  at: Moment,
  actor: z.string(),
  version: Version,
  share: z.number(),
  previous: z.int().nullable(),
});

const AuditEntry = z.strictObject({
  seq: z.int(),
  at: Moment,
  actor: z.string(),
  action: z.string(),
  tenant: z.string(),
  detail: z.string(),
  previous: z.string(),
  hash: z.string(),
});

export const BackupLine = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('plimsoll-backup'), version: z.literal(1), at: Moment }),
  z.strictObject({ type: z.literal('plan'), id: Id, name: z.string(), policy_version: Version, document: z.string() }),
  z.strictObject({
    type: z.literal('history'),
    tenant: Id,
    audit: z.array(AuditEntry),
    activations: z.array(Activation),
  }),
  z.strictObject({
    type: z.literal('tenant'),
    id: Id,
    state: TenantState,
    policies: z.array(z.strictObject({ version: Version, document: z.string(), created_at: Moment })),
    activations: z.int().describe('how many'),
    audit: z.strictObject({ seq: z.int(), hash: z.string() }).describe('the last entry'),
  }),
  // Its id is not used again.
  z.strictObject({ type: z.literal('erased'), id: Id }),
  z.strictObject({ type: z.literal('end'), plans: z.int(), tenants: z.int() }),
]);
export type BackupLine = z.infer<typeof BackupLine>;

const Counts = z.strictObject({ restored: z.int(), unchanged: z.int() });
export const ImportAnswer = z.strictObject({ plans: Counts, tenants: Counts });
export type ImportAnswer = z.infer<typeof ImportAnswer>;
