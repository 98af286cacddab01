/**
 * What ran for an answer: for how many of its tokens each source gave a prediction. A source that
 * never did is left out. An expert that cannot change any token is not run at all, and one that
 * fails runs no more.
 */
import * as z from 'zod';

const Tokens = z.int().min(0);

export const Ran = z.strictObject({
  safety: Tokens.optional(),
  helpfulness: Tokens.optional(),
  /** The mixture of both inside the layers, in that mode. */
  layers: Tokens.optional(),
});
export type Ran = z.infer<typeof Ran>;
