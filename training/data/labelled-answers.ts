/**
 * Readers of single answers that are labelled safe or unsafe by themselves, and pairs made of them. A sign for each answer
 * is what a cost model's second term learns from (Safe RLHF, arXiv 2310.12773, section 3.2).
 */
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { hashToUnit } from '../world/random.ts';
import { readRows } from './read-rows.ts';
import type { LabelledAnswer, Preference } from './rows.ts';
import type { SkipReason } from './skips.ts';

/** BeaverTails: one answer a row, a flag for each of its 14 harms, and whether it is safe. */
const BeaverTails = z.object({
  prompt: z.string(),
  response: z.string(),
  category: z.record(z.string(), z.boolean()),
  is_safe: z.boolean(),
});
/** Our `resp_*` files. */
const Answer = z.object({
  prompt: z.string().min(1),
  response: z.string(),
  safe: z.boolean(),
  category: z.string().nullish(),
  source: z.string().optional(),
});

const asked = (content: string): Message[] => [{ role: 'user', content }];
const reader = <T>(schema: z.ZodType<T>, toAnswer: (row: T, file: string) => LabelledAnswer) =>
  async function* (file: string): AsyncGenerator<LabelledAnswer> {
    for await (const row of readRows(file, schema)) yield toAnswer(row, file);
  };

export const ANSWER_LAYOUTS = {
  beavertails: reader(BeaverTails, ({ prompt, response, category, is_safe }) => ({
    prompt: asked(prompt),
    answer: response,
    safe: is_safe,
    categories: Object.keys(category).filter((name) => category[name]),
    source: 'BeaverTails',
  })),
  plimsoll: reader(Answer, ({ prompt, response, safe, category, source }, file) => ({
    prompt: asked(prompt),
    answer: response,
    safe,
    // In our files an answer that is safe keeps the category of what it answers.
    categories: safe || !category ? [] : [category],
    source: source ?? file,
  })),
};
export type AnswerLayout = keyof typeof ANSWER_LAYOUTS;

/**
 * Pairs of a safe and an unsafe answer to the same prompt, word for word. Every answer is in one pair at most: BeaverTails
 * has about twenty answers to a prompt, and all pairs of them would repeat each answer ten times. An answer that was
 * labelled several times counts once, by the majority. A hash decides which answer comes first. What stays without a pair
 * is told to `onSkip`, once an answer.
 */
export function pairAnswers(
  answers: Iterable<LabelledAnswer>,
  { onSkip = () => {} }: { onSkip?: (reason: SkipReason) => void } = {},
): Preference[] {
  const byPrompt = new Map<string, { prompt: Message[]; source: string; votes: Map<string, number> }>();
  for (const { prompt, answer, safe, source } of answers) {
    const key = JSON.stringify(prompt);
    const group = byPrompt.get(key) ?? { prompt, source, votes: new Map<string, number>() };
    byPrompt.set(key, group);
    group.votes.set(answer, (group.votes.get(answer) ?? 0) + (safe ? 1 : -1));
  }
  return [...byPrompt.values()].flatMap(({ prompt, source, votes }) => {
    const labelled = (wanted: number) =>
      [...votes].filter(([, sum]) => Math.sign(sum) === wanted).map(([text]) => text);
    const [safe, unsafe, open] = [labelled(1), labelled(-1), labelled(0)];
    const count = Math.min(safe.length, unsafe.length);
    for (let i = 0; i < open.length; i++) onSkip('contradicted');
    for (let i = 2 * count; i < safe.length + unsafe.length; i++) onSkip('noRival');
    return Array.from({ length: count }, (_, i): Preference => {
      const [good, bad] = [safe[i]!, unsafe[i]!];
      const safer = hashToUnit(`pair/${good}\n${bad}`) < 0.5 ? 0 : 1;
      return {
        prompt,
        responses: safer === 0 ? [good, bad] : [bad, good],
        better: null,
        safer,
        safe: [safer === 0, safer === 1],
        source,
      };
    });
  });
}
