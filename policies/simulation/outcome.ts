/** What came of one prompt under one version. */
import * as z from 'zod';
import { WeightSummary } from '#shared/api/plimsoll-extension.ts';

/** `bundle` is the digest of the weights whose heads have judged. */
const Scores = z.strictObject({ reward: z.number(), cost: z.number(), bundle: z.string() });

export const Outcome = z.strictObject({
  /** `refused`: by the edge, or by a backend's second look. `failed`: `text` says why. */
  kind: z.enum(['answered', 'refused', 'failed']),
  text: z.string(),
  /** Tokens of the answer. */
  tokens: z.int(),
  /** The bounds that were held; null where nothing was drawn. */
  floor: z.number().nullable(),
  budget: z.number().nullable(),
  weights: WeightSummary.nullable(),
  /** Nats. */
  spent: z.number().nullable(),
  /** What the bundle's heads make of the answer; null if nobody was asked, or see `unscored`. */
  scores: Scores.nullable(),
  /** Why there are no scores though the heads were asked for them. */
  unscored: z.string().nullable(),
  receipt: z.string().nullable(),
});
export type Outcome = z.infer<typeof Outcome>;

/** Both answers to one prompt, as the file of results has them. */
export const Compared = z.strictObject({ index: z.int().min(0), before: Outcome, after: Outcome });
export type Compared = z.infer<typeof Compared>;
