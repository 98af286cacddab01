/** What the session routes take, and what they say about a session. */
import * as z from 'zod';
import { TRACES } from '#shared/api/plimsoll-extension.ts';
import { Action, Budget, Share } from '#shared/line/line.ts';
import { Scope } from '../objects/tenant-record.ts';

export const SignIn = z.strictObject({ key: z.string().min(1).max(500) });

/** The line that a key is under, before any prompt. A request can only tighten it. */
const KeyLine = z.strictObject({
  floor: Share,
  ceiling: Share,
  budget: Budget,
  action: Action,
  trace: z.enum(TRACES),
  max_tokens: z.int().nullable(),
});
export type KeyLine = z.infer<typeof KeyLine>;

export const SessionAnswer = z.strictObject({
  object: z.literal('session'),
  kind: z.enum(['operator', 'tenant']),
  tenant: z.string().nullable(),
  key: z.string().nullable().describe('the id of the key'),
  scopes: z.array(Scope).describe("what the key may do; of the operator's key: empty, as it may do all"),
  line: KeyLine.nullable().describe("null: the operator's key is under no line of its own"),
  expires_at: z.iso.datetime(),
  renewable_until: z.iso.datetime().describe('it lasts no longer than this, however often it is renewed'),
});
export type SessionAnswer = z.infer<typeof SessionAnswer>;

export const SignedOut = z.strictObject({ object: z.literal('session'), deleted: z.literal(true) });
