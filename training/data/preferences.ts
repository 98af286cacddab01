/** Readers of preference pairs, in the public layouts and in our own. See `dialogues.ts`. */
import type * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { pairAnswers, readBeaverTails } from './labelled-answers.ts';
import { looksLike } from './looks-like.ts';
import { HhMessages, HhRlhf, Pair, PkuSafeRlhf, Trl, UltraFeedback } from './preference-rows.ts';
import { readRows } from './read-rows.ts';
import type { Preference } from './rows.ts';
import type { SkipReason } from './skips.ts';

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
/** Of TRL's forms: `chosen` is an answer, or a whole conversation, which begins with the prompt. */
function pairOfTrl({ prompt = [], chosen, rejected }: z.infer<typeof Trl>): PairOrSkip {
  const messages = asMessages(prompt);
  const whole = (answer: string | Message[]): Message[] => {
    if (typeof answer === 'string') return [...messages, { role: 'assistant', content: answer }];
    return answer[0]!.role === 'assistant' ? [...messages, ...answer] : answer;
  };
  return pairOfConversations(whole(chosen), whole(rejected));
}

const originOf = (row: Pick<Preference, 'licence'> & { source?: string | undefined }, file: string) => ({
  source: row.source ?? file,
  ...(row.licence !== undefined && { licence: row.licence }),
});

type PairOrSkip = Pick<Preference, 'prompt' | 'responses'> | SkipReason;

export type ReadOptions = {
  /** The judged dimension, for layouts that hold one preference and do not say which. */
  dimension?: Dimension;
  /** Called for every row that gives no pair. */
  onSkip?: (reason: SkipReason) => void;
  /** Called with what a row says was judged, such as `harmless`, in layouts that say so. */
  onJudged?: (what: string) => void;
};

const reader = <T>(
  schema: z.ZodType<T>,
  toPreference: (
    row: T,
    context: { file: string; dimension: Dimension; onJudged: (what: string) => void },
  ) => Preference | SkipReason,
) =>
  async function* (
    file: string,
    { dimension = 'safer', onSkip = () => {}, onJudged = () => {} }: ReadOptions = {},
  ): AsyncGenerator<Preference> {
    for await (const row of readRows(file, schema, { hint: looksLike })) {
      const preference = toPreference(row, { file, dimension, onJudged });
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
    ...originOf(row, file),
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
  'hh-messages': reader(
    HhMessages,
    ({ messages, chosen, rejected, preference, ...row }, { file, dimension, onJudged }) => {
      if (preference !== undefined) onJudged(preference);
      const responses: [string, string] = [chosen, rejected];
      return { prompt: messages, responses, ...chosenFirst(dimension), safe: UNKNOWN, ...originOf(row, file) };
    },
  ),
  /**
   * Reads the whole file before it yields a pair, because an answer's rival may be in the last row.
   */
  async *beavertails(file: string, { onSkip }: ReadOptions = {}): AsyncGenerator<Preference> {
    const answers = await Array.fromAsync(readBeaverTails(file, { hint: looksLike }));
    yield* pairAnswers(answers, onSkip && { onSkip });
  },
  ultrafeedback: reader(UltraFeedback, ({ chosen, rejected, score_chosen, score_rejected }) => {
    const pair = pairOfConversations(chosen, rejected);
    if (typeof pair === 'string') return pair;
    const better = score_chosen === score_rejected ? null : score_chosen > score_rejected ? 0 : 1;
    return { ...pair, better, safer: null, safe: UNKNOWN, source: 'UltraFeedback' };
  }),
  trl: reader(Trl, (row, { file, dimension }) => {
    const pair = pairOfTrl(row);
    if (typeof pair === 'string') return pair;
    return { ...pair, ...chosenFirst(dimension), safe: UNKNOWN, ...originOf(row, file) };
  }),
} satisfies Record<string, (file: string, options?: ReadOptions) => AsyncGenerator<Preference>>;
export type PreferenceLayout = keyof typeof PREFERENCE_LAYOUTS;
