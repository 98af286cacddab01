/**
 * The step `dual`: D_dual from the base's own answers, ranked by the reward and the cost model,
 * from the small world's pairs by their labels, and from refusals of harmless prompts.
 */
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { replaceFile } from '#training/run/write-file.ts';
import type { DualDefinition } from '#training/stages/dual-pairs.ts';
import { loadScorer, type Scorer } from '#training/stages/scorer.ts';
import type { Candidate } from './candidates.ts';
import { type ChosenPairs, choosePairs } from './choose-pairs.ts';
import { inside, type RecipeContext } from './context.ts';
import { readAnswers } from './own-answers.ts';
import { ANSWERS_OUTPUT, allPairs, SIDES, type Side } from './pairs-step.ts';
import { dualOfAnswers, dualOfLabelled, judgeAnswers } from './rank-answers.ts';
import { pairRow, writeRows } from './recipe-rows.ts';
import type { Settings } from './settings.ts';

export const DUAL_REPORT = 'dual/report.json';

export function dualOutput(side: Side): string {
  return `dual/${side}.jsonl`;
}

export const DUAL_OUTPUT: readonly string[] = [...SIDES.map(dualOutput), DUAL_REPORT];

export async function dualStep(context: RecipeContext): Promise<void> {
  const { out, settings, threads, tokenizer, model: base } = context;
  const { seed, dual, maxRowTokens, router } = settings;
  const models = { base, padId: tokenizer.padId, threads };
  const sides = await chooseDual({
    ...{ out, seed, tokenizer, maxRowTokens, dual, pairsPerBatch: router.pairsPerBatch },
    reward: await loadScorer(inside(context, 'runs/reward'), { ...models, wanted: 'reward' }),
    cost: await loadScorer(inside(context, 'runs/cost'), { ...models, wanted: 'cost' }),
  });
  const report: Record<string, unknown> = {};
  makeFolder(inside(context, 'dual'));
  for (const side of SIDES) {
    const { pairs, figures, leftOut } = sides[side];
    writeRows(inside(context, dualOutput(side)), pairs.map(pairRow));
    report[side] = { leftOutOfOwnAnswers: leftOut, lengths: figures };
  }
  replaceFile(inside(context, DUAL_REPORT), `${JSON.stringify(report, null, 2)}\n`);
}

export type DualOptions = Pick<RecipeContext, 'out' | 'tokenizer'> &
  Pick<Settings, 'seed' | 'maxRowTokens'> & {
    dual: Omit<Settings['dual'], 'definition'> & { definition: DualDefinition };
    /** Of the stage that trains the router. */
    pairsPerBatch: number;
    reward: Scorer;
    cost: Scorer;
  };

/**
 * Ranks the answers and the labelled pairs of a recipe's folder, and takes what fits the budgets.
 * Throws if a side has no pair left.
 */
export async function chooseDual({
  out,
  seed,
  dual,
  pairsPerBatch,
  reward,
  cost,
  ...rows
}: DualOptions): Promise<Record<Side, ChosenPairs<Candidate> & { leftOut: Record<string, number> }>> {
  const { definition, pairsPerPrompt } = dual;
  const judged = await judgeAnswers(readAnswers(inside({ out }, ANSWERS_OUTPUT)), { reward, cost, ...rows });
  const labelled = dualOfLabelled(
    (await allPairs({ out, settings: { seed } })).filter(({ family }) => family === 'world' || family === 'refusals'),
    definition,
  );
  const choose = (side: Side) => {
    const own = dualOfAnswers(
      judged.filter(({ part }) => part === side),
      { definition, pairsPerPrompt },
    );
    const chosen = choosePairs([...own.dual, ...labelled.filter(({ part }) => part === side)], {
      dimension: 'better',
      budgets: dual[side],
      pairsPerBatch,
      seed: `${seed}/dual/${side}`,
      ...rows,
    });
    if (chosen.pairs.length === 0)
      throw new Error(
        `dual, ${definition}: no pair of the part ${side} is left, wanted one or more: ${JSON.stringify(own.leftOut)}`,
      );
    return { ...chosen, leftOut: own.leftOut };
  };
  return { train: choose('train'), dev: choose('dev') };
}
