/** Reads single answers, each labelled safe or unsafe on its own, and makes pairs of them. */
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { hashToUnit } from './random.ts';
import { readRows } from './read-rows.ts';
import type { RowHint } from './row-problem.ts';
import type { LabelledAnswer, Preference } from './rows.ts';
import type { SkipReason } from './skips.ts';

/**
 * BeaverTails: one answer per row, and whether it is safe. It also says which of 14 harms the
 * answer does, but we do not read that.
 */
export const BeaverTails = z.object({
  prompt: z.string(),
  response: z.string(),
  is_safe: z.boolean(),
});
export async function* readBeaverTails(
  file: string,
  { hint }: { hint?: RowHint | undefined } = {},
): AsyncGenerator<LabelledAnswer> {
  for await (const { prompt, response, is_safe } of readRows(file, BeaverTails, { hint })) {
    yield { prompt: [{ role: 'user', content: prompt }], answer: response, safe: is_safe, source: 'BeaverTails' };
  }
}

/**
 * Pairs a safe with an unsafe answer to the same prompt, compared word for word. Every answer is in
 * at most one pair: BeaverTails has about twenty answers per prompt, and using all pairs of them
 * would repeat each answer ten times. An answer with several labels counts once, by majority. A
 * hash decides which answer comes first. Calls `onSkip` once for each answer that gets no pair.
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
