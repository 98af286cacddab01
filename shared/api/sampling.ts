/**
 * The parameters of sampling that a model may have defaults for. A client that names one overrides
 * it. The edge fills in the others, so a request to a backend always says how its answer is drawn,
 * and the key of the draws is bound to exactly that.
 */
import * as z from 'zod';

/** What each does: docs/sampling.md. */
export const Sampling = z.strictObject({
  temperature: z.number().min(0).max(2),
  top_p: z.number().gt(0).max(1),
  /** Draw only from the likeliest k tokens. 0: from all. */
  top_k: z.int().min(0),
  /** Draw only from tokens at least this share as likely as the likeliest. */
  min_p: z.number().min(0).max(1),
  /** Multiplies the log-probability of each token that the prompt or the answer contains. */
  repetition_penalty: z.number().gt(0).max(2),
});
export type Sampling = z.infer<typeof Sampling>;

/** The mixture as it is: how answers are drawn if neither client nor model says anything. */
export const PLAIN_SAMPLING: Sampling = { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 };

/** The defaults of a model: what it names, and plain sampling for the rest. */
export const withPlain = (named: { [K in keyof Sampling]?: Sampling[K] | undefined }): Sampling => ({
  // In the order of the schema, because receipts are compared as text.
  temperature: named.temperature ?? PLAIN_SAMPLING.temperature,
  top_p: named.top_p ?? PLAIN_SAMPLING.top_p,
  top_k: named.top_k ?? PLAIN_SAMPLING.top_k,
  min_p: named.min_p ?? PLAIN_SAMPLING.min_p,
  repetition_penalty: named.repetition_penalty ?? PLAIN_SAMPLING.repetition_penalty,
});
