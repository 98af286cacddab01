/**
 * What the experts of a bundle are. A promise about a line is relative to the safety expert, so
 * receipts and `/healthz` say what that is: trained weights, a system prompt or the bare base.
 */
import * as z from 'zod';

/** SHA-256 of the system prompt's text in UTF-8, as the model reads it. Lower-case hex. */
const prompt = z.string().regex(/^[0-9a-f]{64}$/);

/** The shared base model under an adapter, under a system prompt, under both, or alone. */
export const ExpertKind = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('adapter') }),
  z.strictObject({ kind: z.literal('prompt'), prompt }),
  z.strictObject({ kind: z.literal('adapter+prompt'), prompt }),
  z.strictObject({ kind: z.literal('base') }),
]);
export type ExpertKind = z.infer<typeof ExpertKind>;

export const ExpertKinds = z.strictObject({ safety: ExpertKind, helpfulness: ExpertKind });
export type ExpertKinds = z.infer<typeof ExpertKinds>;
