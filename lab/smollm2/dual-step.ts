/**
 * The step `dual`: D_dual from the base's own answers, ranked by the reward and the cost model,
 * from the small world's pairs by their labels, and from refusals of harmless prompts.
 */
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import { choosePairs } from './choose-pairs.ts';
import { inside, type RecipeContext } from './context.ts';
import { readAnswers } from './own-answers.ts';
import { ANSWERS_OUTPUT, allPairs, SIDES, type Side } from './pairs-step.ts';
import { dualOfAnswers, dualOfLabelled, judgeAnswers } from './rank-answers.ts';
import { pairRow, writeRows } from './recipe-rows.ts';

export const DUAL_REPORT = 'dual/report.json';

export function dualOutput(side: Side): string {
  return `dual/${side}.jsonl`;
}

export const DUAL_OUTPUT: readonly string[] = [...SIDES.map(dualOutput), DUAL_REPORT];

export async function dualStep(context: RecipeContext): Promise<void> {
  const { settings, threads, tokenizer, model: base } = context;
  const { definition, pairsPerPrompt } = settings.dual;
  const models = { base, padId: tokenizer.padId, threads };
  const judged = await judgeAnswers(readAnswers(inside(context, ANSWERS_OUTPUT)), {
    reward: await loadScorer(inside(context, 'runs/reward'), { ...models, wanted: 'reward' }),
    cost: await loadScorer(inside(context, 'runs/cost'), { ...models, wanted: 'cost' }),
    tokenizer,
    maxRowTokens: settings.maxRowTokens,
  });
  const labelled = dualOfLabelled(
    (await allPairs(context)).filter(({ family }) => family === 'world' || family === 'refusals'),
    definition,
  );
  const report: Record<string, unknown> = {};
  makeFolder(inside(context, 'dual'));
  for (const side of SIDES) {
    const own = dualOfAnswers(
      judged.filter(({ part }) => part === side),
      { definition, pairsPerPrompt },
    );
    const { pairs, figures } = choosePairs([...own.dual, ...labelled.filter(({ part }) => part === side)], {
      dimension: 'better',
      tokenizer,
      budgets: settings.dual[side],
      maxRowTokens: settings.maxRowTokens,
      pairsPerBatch: settings.router.pairsPerBatch,
      seed: `${settings.seed}/dual/${side}`,
    });
    if (pairs.length === 0)
      throw new Error(`dual: no pair of the part ${side} is left: ${JSON.stringify(own.leftOut)}`);
    writeRows(inside(context, dualOutput(side)), pairs.map(pairRow));
    report[side] = { leftOutOfOwnAnswers: own.leftOut, lengths: figures };
  }
  replaceFile(inside(context, DUAL_REPORT), `${JSON.stringify(report, null, 2)}\n`);
}
