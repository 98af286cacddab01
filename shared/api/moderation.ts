/**
 * OpenAI's moderation endpoint. Its clients know thirteen categories and look for hits only under
 * those names. So we report OpenAI's names alongside our own, and whatever we flag under one of our
 * names is also flagged under one of theirs.
 */
import * as z from 'zod';
import { JUDGEMENTS, type Judgement } from '#shared/line/categories.ts';
import { MAX_MODERATION_CHARS, MAX_MODERATION_TEXTS, MAX_READ_CHARS } from './text-limits.ts';
import { repaired, wellFormed } from './well-formed.ts';

// We would read only part of a longer text, and a verdict on part of a text is worth nothing.
const text = repaired.pipe(z.string().max(MAX_READ_CHARS));
const part = z.strictObject({ type: z.literal('text'), text });

/** A string is one input, a list of strings is several, and a list of parts is one. */
export const ModerationRequest = z.strictObject({
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
 * How each of OpenAI's categories is computed from ours. If theirs are finer (intent or
 * instructions, graphic or not), each takes the score of our category that contains it. A threat
 * takes the lower score of its two halves.
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

// The cast: these are the keys of a constant.
const NAMES = [...new Set([...(Object.keys(OPENAI_CATEGORIES) as OpenAICategory[]), ...JUDGEMENTS])];
export type ModerationCategory = (typeof NAMES)[number];

/** The categories are calibrated: from here on, a text more likely belongs to one than not. */
const FLAG_FROM = 0.5;
/**
 * `any_harm` needs a higher threshold, because harmless questions in frightening words raise it
 * more often than any one category. The preset policies also begin to act on it here.
 */
const FLAG_ANY_HARM_FROM = 0.8;

export type NamedVerdict = { score: number; flagged: boolean };

/**
 * A verdict for each of OpenAI's names and ours. The three names that both use mean the same. Harm
 * of no particular kind is flagged as `illicit`, so that a client that knows only OpenAI's names
 * misses no hit.
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
      /**
       * How likely it is that part of the text is in a language the classifier does not know. If it
       * is, the scores say little.
       */
      plimsoll: z.strictObject({ uncertain: z.number().min(0).max(1) }),
    }),
  ),
});
export type Moderation = z.infer<typeof Moderation>;
