/** OpenAI's moderation endpoint; the categories are the labels of our classifier. */
import * as z from 'zod';
import { LABELS } from './categories.ts';

/** Keeps the classifier's work for one request in the range of one long prompt. */
const MAX_INPUTS = 128;

const text = z.string().transform((string) => string.toWellFormed());
const part = z.object({ type: z.literal('text'), text });

/** A string is one input, a list of strings as many, and a list of parts one again. `model` is not chosen by the caller. */
export const ModerationRequest = z.object({
  input: z.union([
    text.transform((input) => [input]),
    z.array(text).min(1).max(MAX_INPUTS),
    z
      .array(part)
      .min(1)
      .max(MAX_INPUTS)
      .transform((parts) => [parts.map((each) => each.text).join('\n')]),
  ]),
});

export const Moderation = z.strictObject({
  id: z.string().startsWith('modr-'),
  model: z.string(),
  results: z.array(
    z.strictObject({
      flagged: z.boolean(),
      categories: z.record(z.enum(LABELS), z.boolean()),
      category_scores: z.record(z.enum(LABELS), z.number().min(0).max(1)),
      category_applied_input_types: z.record(z.enum(LABELS), z.array(z.literal('text'))),
    }),
  ),
});
export type Moderation = z.infer<typeof Moderation>;
