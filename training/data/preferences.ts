/** Readers of preference pairs, in the public layouts and in our own. See `dialogues.ts`. */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { pairAnswers, readBeaverTails } from './labelled-answers.ts';
import { readRows } from './read-rows.ts';
import type { Preference } from './rows.ts';
import type { SkipReason } from './skips.ts';
import { Transcript } from './transcript.ts';

const Choice = z.union([z.literal(0), z.literal(1)]);
const Source = z.string().optional();
const Prompt = z.union([z.string().min(1), z.array(Message).min(1)]);
const Flag = z.boolean().nullish();

/** The layout of our `pref_*` files and of the small world's pairs. */
const Pair = z.object({
  prompt: Prompt,
  response_0: z.string(),
  response_1: z.string(),
  better: Choice.nullable(),
  safer: Choice.nullable(),
  safe_0: Flag,
  safe_1: Flag,
  source: Source,
});
/** PKU-SafeRLHF: `better_response_id` judges helpfulness, `safer_response_id` harmlessness. */
const PkuSafeRlhf = z.object({
  prompt: z.string(),
  response_0: z.string(),
  response_1: z.string(),
  better_response_id: Choice,
  safer_response_id: Choice,
  is_response_0_safe: Flag,
  is_response_1_safe: Flag,
});
/**
 * HH-RLHF: two whole transcripts that differ only in the last answer. The dimension that was judged
 * depends on the file, not on the row.
 */
const HhRlhf = z.object({ chosen: Transcript, rejected: Transcript });
/** HH-RLHF already cut into a prompt and two answers: our `pref_hh_*` files. */
const HhMessages = z.object({
  messages: z.array(Message).min(1),
  chosen: z.string(),
  rejected: z.string(),
  source: Source,
});
/**
 * UltraFeedback, binarized: two conversations, with the scores that a model gave to their last
 * answers.
 */
const UltraFeedback = z.object({
  chosen: z.array(Message).min(2),
  rejected: z.array(Message).min(2),
  score_chosen: z.number(),
  score_rejected: z.number(),
});

const asMessages = (prompt: string | Message[]): Message[] =>
  typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
const UNKNOWN: NonNullable<Preference['safe']> = [null, null];

export type Dimension = 'better' | 'safer';
const chosenFirst = (dimension: Dimension): Pick<Preference, 'better' | 'safer'> => ({
  better: dimension === 'better' ? 0 : null,
  safer: dimension === 'safer' ? 0 : null,
});

/**
 * Returns the prompt and the two last answers. A few rows of public sets are not such a pair, and
 * we skip them.
 */
function pairOfConversations(chosen: Message[], rejected: Message[]): PairOrSkip {
  const prompt = chosen.slice(0, -1);
  if (chosen.at(-1)!.role !== 'assistant' || rejected.at(-1)!.role !== 'assistant') return 'noAnswer';
  if (JSON.stringify(prompt) !== JSON.stringify(rejected.slice(0, -1))) return 'promptsDiffer';
  return { prompt, responses: [chosen.at(-1)!.content, rejected.at(-1)!.content] };
}
type PairOrSkip = Pick<Preference, 'prompt' | 'responses'> | SkipReason;

export type ReadOptions = {
  /** The judged dimension, for layouts that hold one preference and do not say which. */
  dimension?: Dimension;
  /** Called for every row that gives no pair. */
  onSkip?: (reason: SkipReason) => void;
};

const reader = <T>(
  schema: z.ZodType<T>,
  toPreference: (row: T, context: { file: string; dimension: Dimension }) => Preference | SkipReason,
) =>
  async function* (
    file: string,
    { dimension = 'safer', onSkip = () => {} }: ReadOptions = {},
  ): AsyncGenerator<Preference> {
    for await (const row of readRows(file, schema)) {
      const preference = toPreference(row, { file, dimension });
      if (typeof preference === 'string') onSkip(preference);
      else yield preference;
    }
  };

export const PREFERENCE_LAYOUTS = {
  plimsoll: reader(Pair, (row, { file }) => ({
    prompt: asMessages(row.prompt),
    responses: [row.response_0, row.response_1],
    better: row.better,
    safer: row.safer,
    safe: [row.safe_0 ?? null, row.safe_1 ?? null],
    source: row.source ?? file,
  })),
  'pku-saferlhf': reader(PkuSafeRlhf, (row) => ({
    prompt: asMessages(row.prompt),
    responses: [row.response_0, row.response_1],
    better: row.better_response_id,
    safer: row.safer_response_id,
    safe: [row.is_response_0_safe ?? null, row.is_response_1_safe ?? null],
    source: 'PKU-SafeRLHF',
  })),
  'hh-rlhf': reader(HhRlhf, ({ chosen, rejected }, { dimension }) => {
    const pair = pairOfConversations(chosen, rejected);
    return typeof pair === 'string' ? pair : { ...pair, ...chosenFirst(dimension), safe: UNKNOWN, source: 'HH-RLHF' };
  }),
  'hh-messages': reader(HhMessages, ({ messages, chosen, rejected, source }, { file, dimension }) => ({
    prompt: messages,
    responses: [chosen, rejected],
    ...chosenFirst(dimension),
    safe: UNKNOWN,
    source: source ?? file,
  })),
  /**
   * Reads the whole file before it yields a pair, because an answer's rival may be in the last row.
   */
  async *beavertails(file: string, { onSkip }: ReadOptions = {}): AsyncGenerator<Preference> {
    const answers = await Array.fromAsync(readBeaverTails(file));
    yield* pairAnswers(answers, onSkip && { onSkip });
  },
  ultrafeedback: reader(UltraFeedback, ({ chosen, rejected, score_chosen, score_rejected }) => {
    const pair = pairOfConversations(chosen, rejected);
    if (typeof pair === 'string') return pair;
    const better = score_chosen === score_rejected ? null : score_chosen > score_rejected ? 0 : 1;
    return { ...pair, better, safer: null, safe: UNKNOWN, source: 'UltraFeedback' };
  }),
} satisfies Record<string, (file: string, options?: ReadOptions) => AsyncGenerator<Preference>>;
export type PreferenceLayout = keyof typeof PREFERENCE_LAYOUTS;
