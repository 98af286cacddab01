/**
 * OpenAI's moderation endpoint. Its clients know thirteen categories and read a hit under those names alone, so they stand
 * beside the classifier's own; whatever is flagged under a name of ours is flagged under one of theirs.
 */
import * as z from 'zod';
import { JUDGEMENTS, type Judgement } from '#shared/line/categories.ts';
import { MAX_MODERATION_CHARS, MAX_MODERATION_TEXTS, MAX_READ_CHARS } from './text-limits.ts';
import { repaired, wellFormed } from './well-formed.ts';

// Longer ones would be read in part, and a verdict on a part is none.
const text = repaired.pipe(z.string().max(MAX_READ_CHARS));
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
 * score of what contains them; a threat is the lesser of its two halves.
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

/** The categories are calibrated: from here on a text is likelier of one than not. */
const FLAG_FROM = 0.5;
/**
 * Harm of whatever kind has to be surer, as where the preset policies begin to act on it: harmless questions in frightening
 * words are in doubt more often than in any one category.
 */
const FLAG_ANY_HARM_FROM = 0.8;

export type NamedVerdict = { score: number; flagged: boolean };

/**
 * For each of OpenAI's names and of ours; the three names that both use mean the same. Harm that is flagged and of no kind in
 * particular is flagged as `illicit`, so that no hit is hidden from a client that knows only their names.
 */
export function verdictsByName(score: Score): Record<ModerationCategory, NamedVerdict> {
  const verdict = (value: number, from = FLAG_FROM) => ({ score: value, flagged: value >= from });
  const theirs = Object.entries(OPENAI_CATEGORIES).map(([name, read]) => [name, verdict(read(score))] as const);
  const ours = JUDGEMENTS.map((name) => [name, verdict(score(name))] as const);
  const anyHarm = verdict(score('any_harm'), FLAG_ANY_HARM_FROM);
  const ofNoKind = anyHarm.flagged && !theirs.some(([, { flagged }]) => flagged);
  // The cast: these are the names of both lists.
  return {
    ...Object.fromEntries([...theirs, ...ours]),
    ...(ofNoKind && { illicit: anyHarm }),
    any_harm: anyHarm,
  } as Record<ModerationCategory, NamedVerdict>;
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
