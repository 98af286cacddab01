/** OpenAI's list of models. */
import * as z from 'zod';
import { Sampling } from '#shared/api/sampling.ts';
import { Mode } from '#shared/line/line.ts';

export const Model = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  /**
   * Unix seconds: when the bundle was written on the machine that serves it. 0 if no backend
   * reports it.
   */
  created: z.int(),
  owned_by: z.string(),
  /** The same as `context_length`, where vLLM's clients look for it. */
  max_model_len: z.int(),
  plimsoll: z.strictObject({
    /** How many tokens of prompt and answer together every one of its backends takes. */
    context_length: z.int(),
    modes: z.array(Mode),
    /** How answers are drawn where a request names nothing. null: its backends differ. */
    sampling: Sampling.nullable(),
    /** False while no backend that serves it answers. */
    available: z.boolean(),
  }),
});
export type Model = z.infer<typeof Model>;

export const ModelList = z.strictObject({ object: z.literal('list'), data: z.array(Model) });
export type ModelList = z.infer<typeof ModelList>;
