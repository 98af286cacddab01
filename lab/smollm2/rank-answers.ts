/**
 * D_dual of the base's own answers, as MidPO makes it: the reward model says which of two answers
 * is more helpful, the cost model which are safe, and a definition (training/stages/dual-pairs.ts)
 * which one wins. Every answer is scored once, however many pairs it could be in.
 */
import { encodeChat, type TokenRow } from '#training/data/encode-chat.ts';
import type { PairRows } from '#training/data/encode-pairs.ts';
import type { Preference } from '#training/data/rows.ts';
import { type DualDefinition, dualVerdict } from '#training/stages/dual-pairs.ts';
import type { Scorer } from '#training/stages/scorer.ts';
import type { TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import type { Candidate } from './candidates.ts';
import type { AnswersRow } from './own-answers.ts';
import { OWN_ANSWERS } from './sources.ts';
import { wholeAnswer } from './whole-answer.ts';

/** The scores of one answer: `cost` below 0 is safe. */
type Judged = { text: string; reward: number; cost: number };

export type JudgedPrompt = Pick<AnswersRow, 'prompt' | 'source' | 'key' | 'part' | 'stratum'> & { answers: Judged[] };

/**
 * Scores every different whole answer whose row has at most `maxRowTokens`. Each scorer gives its
 * session back before the next one takes one.
 */
export async function judgeAnswers(
  rows: readonly AnswersRow[],
  {
    reward,
    cost,
    tokenizer,
    maxRowTokens,
  }: { reward: Scorer; cost: Scorer; tokenizer: TrainingTokenizer; maxRowTokens: number },
): Promise<JudgedPrompt[]> {
  const encoded = rows.map(({ prompt, answers }) => {
    const texts = new Set(answers.map(wholeAnswer).filter((answer) => answer !== null));
    return [...texts]
      .map((text) => ({ text, row: encodeChat({ prompt, answer: text }, tokenizer) }))
      .filter(({ row }) => row.ids.length <= maxRowTokens);
  });
  const all = encoded.flat().map(({ row }) => row);
  const rewards = await scoreRows(all, reward);
  const costs = await scoreRows(all, cost);
  let at = 0;
  return rows.map(({ prompt, source, key, part, stratum }, i) => ({
    prompt,
    source,
    key,
    part,
    stratum,
    answers: encoded[i]!.map(({ text }): Judged => ({ text, reward: rewards[at]!, cost: costs[at++]! })),
  }));
}

/**
 * Scorers take pairs. We put rows of like length together, whatever prompts they belong to, so that
 * none is scored twice and little is padded.
 */
async function scoreRows(rows: readonly TokenRow[], scorer: Scorer): Promise<number[]> {
  const byLength = rows.map((_, i) => i).toSorted((a, b) => rows[a]!.ids.length - rows[b]!.ids.length);
  const couples: [number, number][] = [];
  // A last row without a partner stands twice.
  for (let i = 0; i < byLength.length; i += 2) couples.push([byLength[i]!, byLength[i + 1] ?? byLength[i]!]);
  const pairs = couples.map(
    ([first, second]): PairRows => ({
      chosen: rows[first]!,
      rejected: rows[second]!,
      preference: NOTHING,
      winner: 0,
      safe: [null, null],
    }),
  );
  const found = await scorer.score(pairs, `own answers: ${scorer.kind}`).finally(scorer.release);
  const scores = new Array<number>(rows.length);
  couples.forEach((couple, i) => {
    const both = found.get(i);
    if (both === undefined) throw new Error(`own answers: the ${scorer.kind} model gave no score for row ${couple[0]}`);
    couple.forEach((row, side) => {
      scores[row] = both[side]!;
    });
  });
  return scores;
}

/** Scorers read only the rows of a pair. */
const NOTHING: Preference = { prompt: [], responses: ['', ''], better: null, safer: null, source: OWN_ANSWERS };

/**
 * At most `pairsPerPrompt` pairs of a prompt, the clearest first, by the gaps of reward and cost
 * together. An answer is in one pair at most. Counts what a definition leaves out, by reason.
 */
export function dualOfAnswers(
  prompts: readonly JudgedPrompt[],
  { definition, pairsPerPrompt }: { definition: DualDefinition; pairsPerPrompt: number },
): { dual: Candidate[]; leftOut: Record<string, number> } {
  const leftOut: Record<string, number> = {};
  const dual = prompts.flatMap(({ prompt, source, key, part, answers }) => {
    const used = new Set<number>();
    const kept: Candidate[] = [];
    for (const [i, j] of clearestFirst(answers)) {
      if (kept.length === pairsPerPrompt) break;
      if (used.has(i) || used.has(j)) continue;
      const [first, second] = [answers[i]!, answers[j]!];
      const costs = [first.cost, second.cost] as const;
      const better = first.reward === second.reward ? null : first.reward > second.reward ? 0 : 1;
      const verdict = dualVerdict(definition, { costs, better });
      if ('leftOut' in verdict) {
        leftOut[verdict.leftOut] = (leftOut[verdict.leftOut] ?? 0) + 1;
        continue;
      }
      used.add(i).add(j);
      kept.push({
        prompt,
        responses: [first.text, second.text],
        better: verdict.winner,
        safer: costs[0] === costs[1] ? null : costs[0] < costs[1] ? 0 : 1,
        safe: [costs[0] < 0, costs[1] < 0],
        source: OWN_ANSWERS,
        promptSource: source,
        family: 'own',
        key,
        part,
      });
    }
    return kept;
  });
  return { dual, leftOut };
}

function clearestFirst(answers: readonly Judged[]): [number, number][] {
  const gap = ([i, j]: [number, number]) =>
    Math.abs(answers[i]!.reward - answers[j]!.reward) + Math.abs(answers[i]!.cost - answers[j]!.cost);
  return answers
    .flatMap((_, i) => answers.slice(i + 1).map((_, k): [number, number] => [i, i + 1 + k]))
    .toSorted((a, b) => gap(b) - gap(a));
}

/** Pairs with labels of their own: the safe flags stand for the costs. */
export function dualOfLabelled(pairs: readonly Candidate[], definition: DualDefinition): Candidate[] {
  return pairs.flatMap((pair) => {
    const { safe = [null, null], better } = pair;
    if (safe[0] === null || safe[1] === null) return [];
    const costs = [safe[0] ? -1 : 1, safe[1] ? -1 : 1] as const;
    const verdict = dualVerdict(definition, { costs, better, labels: pair });
    return 'winner' in verdict ? [{ ...pair, better: verdict.winner }] : [];
  });
}
