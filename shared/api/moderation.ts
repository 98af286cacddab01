/**
 * OpenAI's moderation endpoint. Its clients know thirteen categories and read a hit under those names alone, so they stand
 * beside the classifier's own; whatever is flagged under a name of ours is flagged under one of theirs.
 */
import * as z from 'zod';
import { JUDGEMENTS, type Judgement } from './categories.ts';
import { MAX_MODERATION_CHARS, MAX_MODERATION_TEXTS, MAX_READ_CHARS } from './text-limits.ts';
import { wellFormed } from './well-formed.ts';

// Longer ones would be read in part, and a verdict on a part is none.
const text = z
  .string()
  .max(MAX_READ_CHARS)
  .transform((string) => string.toWellFormed());
const part = z.object({ type: z.literal('text'), text });

/** A string is one input, a list of strings as many, and a list of parts one again. */
export const ModerationRequest = z.object({
  model: wellFormed.nullish(),
  input: z
    .union([
      text.transform((input) => [input]),
      z.array(text).min(1).max(MAX_MODERATION_TEXTS),
      z
        .array(part)
        .min(1)
        .max(MAX_MODERATION_TEXTS)
        .transform((parts) => [parts.map((each) => each.text).join('\n')])
        .refine(([joined = '']) => joined.length <= MAX_READ_CHARS, {
          error: `parts of at most ${MAX_READ_CHARS} characters together`,
        }),
    ])
    .refine((texts) => texts.reduce((chars, each) => chars + each.length, 0) <= MAX_MODERATION_CHARS, {
      error: `at most ${MAX_MODERATION_CHARS} characters in all of its texts together`,
    }),
});

type Score = (judgement: Judgement) => number;
const largest =
  (...judgements: Judgement[]) =>
  (score: Score) =>
    Math.max(...judgements.map(score));

/**
 * OpenAI's names, by what of ours each reads. Where theirs are finer (intent or instructions, graphic or not), both take the
 * score of what contains them; a threat is the lesser of its two halves. `illicit` takes what no other name of theirs would.
 */
const OPENAI_CATEGORIES = {
  harassment: largest('hate', 'discrimination'),
  'harassment/threatening': (score) => Math.min(largest('hate', 'discrimination')(score), score('violence')),
  hate: largest('hate'),
  'hate/threatening': (score) => Math.min(score('hate'), score('violence')),
  illicit: largest(
    'animal_abuse',
    'cybercrime',
    'dangerous_practices',
    'drugs_weapons',
    'financial_crime',
    'misinformation',
    'privacy',
    'jailbreak',
    'any_harm',
  ),
  'illicit/violent': largest('drugs_weapons', 'extremism'),
  'self-harm': largest('self_harm'),
  'self-harm/intent': largest('self_harm'),
  'self-harm/instructions': largest('self_harm'),
  sexual: largest('sexual'),
  'sexual/minors': largest('child_abuse'),
  violence: largest('violence'),
  'violence/graphic': largest('violence'),
} as const satisfies Record<string, (score: Score) => number>;
type OpenAICategory = keyof typeof OPENAI_CATEGORIES;

// The cast: the keys of a constant.
const NAMES = [...new Set([...(Object.keys(OPENAI_CATEGORIES) as OpenAICategory[]), ...JUDGEMENTS])];
export type ModerationCategory = (typeof NAMES)[number];

/** A score for each of OpenAI's names and of ours; the three names that both use mean the same. */
export function scoresByName(score: Score): Record<ModerationCategory, number> {
  const theirs = Object.entries(OPENAI_CATEGORIES).map(([name, read]) => [name, read(score)]);
  const ours = JUDGEMENTS.map((name) => [name, score(name)]);
  // The cast: these are the names of both lists.
  return Object.fromEntries([...theirs, ...ours]) as Record<ModerationCategory, number>;
}

const byName = <T extends z.ZodType>(value: T) => z.record(z.enum(NAMES), value);

export const Moderation = z.strictObject({
  id: z.string().startsWith('modr-'),
  model: z.string(),
  results: z.array(
    z.strictObject({
      flagged: z.boolean(),
      categories: byName(z.boolean()),
      category_scores: byName(z.number().min(0).max(1)),
      category_applied_input_types: byName(z.array(z.literal('text'))),
      /** How sure it is that a part is in a language the classifier does not know: scores then say little. */
      plimsoll: z.strictObject({ uncertain: z.number().min(0).max(1) }),
    }),
  ),
});
export type Moderation = z.infer<typeof Moderation>;
