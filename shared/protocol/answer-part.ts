import * as z from 'zod';

/** What one backend drew of an answer that several of them made, one after the other. */
export const AnswerPart = z.strictObject({
  backend: z.string().min(1),
  /** The one directive that it followed. */
  directive: z.string().min(1),
  /** Its tokens' positions in the answer: the first one, and the one after the last. */
  from: z.int().min(0),
  to: z.int().min(0),
  /** The nats that the answer had spent by its end, earlier parts included; null if unbounded. */
  spent: z.number().nullable(),
});
export type AnswerPart = z.infer<typeof AnswerPart>;
