/** What the admin API answers, as schemas: `/openapi.json` shows them. */
import * as z from 'zod';
import type { Policy } from '#policies/schema.ts';
import { Scope } from '../objects/tenant-record.ts';

const Moment = z.string().describe('ISO 8601, in UTC');
/** A policy with every field filled in. It is ours, so nothing checks it again. */
export const PolicyInForce = z.custom<Policy>();
const Version = z.string().describe('the content address of a policy');

export const KeyAnswer = z.strictObject({
  id: z.string(),
  sha256: z.string().describe('the digest of the key'),
  scopes: z.array(Scope),
  created_at: Moment,
  expires_at: Moment.nullable(),
  policy_version: Version.nullable().describe('of the policy that the key has of its own'),
  replaces: z.string().nullable().describe('the id of the key that it was made to replace'),
});
export type KeyAnswer = z.infer<typeof KeyAnswer>;

export const NewKeyAnswer = KeyAnswer.extend({ key: z.string().describe('the key itself; it is shown only here') });
export type NewKeyAnswer = z.infer<typeof NewKeyAnswer>;

export const RotationAnswer = z.strictObject({ key: NewKeyAnswer, replaced: KeyAnswer });
export type RotationAnswer = z.infer<typeof RotationAnswer>;

export const TenantAnswer = z.strictObject({
  id: z.string(),
  name: z.string(),
  state: z.enum(['active', 'suspended', 'deleted']),
  plan: z.string().nullable(),
  suspended: z.strictObject({ at: Moment, reason: z.string().nullable() }).nullable(),
  policy_version: Version.describe("of the tenant's own policy"),
  effective_version: z
    .string()
    .describe("of the operator's, the plan's and the tenant's policy, joined: what answers and receipts name"),
  /** The strictest if the stored one is broken. */
  policy: PolicyInForce,
  problem: z.string().nullable().describe('what is wrong with the stored policy'),
  canary: z.strictObject({ version: Version, share: z.number() }).nullable(),
  created_at: Moment,
  updated_at: Moment,
  deleted_at: Moment.nullable(),
  revision: z.int().describe('counts changes; the ETag'),
  keys: z.array(KeyAnswer),
});
export type TenantAnswer = z.infer<typeof TenantAnswer>;

export const TenantPutAnswer = z.strictObject({
  id: z.string(),
  name: z.string(),
  policy_version: Version,
  changed: z.boolean().describe('false if the same document was there'),
});

export const PlanAnswer = z.strictObject({
  id: z.string(),
  name: z.string(),
  policy_version: Version,
  policy: PolicyInForce,
  problem: z.string().nullable(),
  created_at: Moment,
  updated_at: Moment,
  revision: z.int(),
});

export type PlanAnswer = z.infer<typeof PlanAnswer>;

export const PolicyAnswer = z.strictObject({
  version: Version,
  created_at: Moment,
  policy: PolicyInForce,
  problem: z.string().nullable(),
});

export const DiffAnswer = z.strictObject({
  from: Version,
  to: Version,
  changes: z.array(
    z.strictObject({
      path: z.string().describe('as in `categories.violence.ramp.from`'),
      from: z.unknown().optional().describe('left out: the field was not there'),
      to: z.unknown().optional(),
      effect: z.enum(['tighter', 'looser', 'mixed', 'none']),
    }),
  ),
});

export const DraftAnswer = z.strictObject({ version: Version, created: z.boolean() });

export const HistoryAnswer = z.strictObject({
  object: z.literal('policy.history'),
  active: Version,
  canary: z.strictObject({ version: Version, share: z.number() }).nullable(),
  versions: z.array(z.strictObject({ version: Version, created_at: Moment })),
  activations: z.array(
    z.strictObject({ seq: z.int(), at: Moment, actor: z.string(), version: Version, share: z.number() }),
  ),
});

export const AuditAnswer = z.strictObject({
  seq: z.int(),
  at: Moment,
  actor: z.string(),
  action: z.string(),
  tenant: z.string(),
  detail: z.unknown(),
  previous: z.string().describe('the hash of the entry before'),
  hash: z.string(),
});

export const AuditVerdictAnswer = z.strictObject({
  valid: z.boolean(),
  entries: z.int(),
  head: z.string().describe('the hash of the last entry; keep it, to notice later if entries were cut off'),
  problem: z.strictObject({ seq: z.int(), why: z.string() }).nullable(),
  known: z
    .strictObject({ seq: z.int(), hash: z.string() })
    .nullable()
    .describe('the last entry that another object knows, which the log must still have; null: no object knows one'),
});

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ object: z.literal('list'), data: z.array(item) });
}
