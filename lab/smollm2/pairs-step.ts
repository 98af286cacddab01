/**
 * The step `pairs`: chooses what the heads and the experts compare, within the token budgets and
 * balanced by length, and says how the lengths were before and after.
 */
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import type { Dimension } from '#training/data/preferences.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { type ChosenPairs, choosePairs } from './choose-pairs.ts';
import { inside, type RecipeContext } from './context.ts';
import { DATA_OUTPUT } from './data-step.ts';
import { readAnswers } from './own-answers.ts';
import { pairRow, readPairRows, writeRows } from './recipe-rows.ts';
import { refusalPairs } from './refusals.ts';
import type { Settings } from './settings.ts';

export const SIDES = ['train', 'dev'] as const;
export type Side = (typeof SIDES)[number];
const DIMENSIONS: readonly Dimension[] = ['safer', 'better'];

export const ANSWERS_OUTPUT = 'answers/answers.jsonl';
export const PAIRS_REPORT = 'pairs/report.json';

export function pairsOutput(dimension: Dimension, side: Side): string {
  return `pairs/${dimension}-${side}.jsonl`;
}

export const PAIRS_OUTPUT: readonly string[] = [
  ...DIMENSIONS.flatMap((dimension) => SIDES.map((side) => pairsOutput(dimension, side))),
  PAIRS_REPORT,
];

/** Everything that pairs are chosen from: what `data` read, and refusals against own answers. */
export async function allPairs(context: Pick<RecipeContext, 'out'> & { settings: Pick<Settings, 'seed'> }) {
  const read = await readPairRows(inside(context, DATA_OUTPUT.pairs));
  return [...read, ...refusalPairs(readAnswers(inside(context, ANSWERS_OUTPUT)), context.settings.seed)];
}

export async function pairsStep(context: RecipeContext): Promise<void> {
  const { settings, tokenizer } = context;
  const candidates = await allPairs(context);
  const report: Record<string, ChosenPairs<never>['figures']> = {};
  makeFolder(inside(context, 'pairs'));
  for (const dimension of DIMENSIONS) {
    for (const side of SIDES) {
      const { pairs, figures } = choosePairs(
        candidates.filter(({ part }) => part === side),
        {
          dimension,
          tokenizer,
          budgets: settings.pairs[dimension][side],
          maxRowTokens: settings.maxRowTokens,
          // Heads and experts read the same pairs. Large batches are padded further.
          pairsPerBatch: Math.max(settings.score.pairsPerBatch, settings.expert.pairsPerBatch),
          seed: `${settings.seed}/${side}`,
        },
      );
      if (pairs.length === 0) throw new Error(`pairs: no pair of the part ${side} says which answer is ${dimension}`);
      writeRows(inside(context, pairsOutput(dimension, side)), pairs.map(pairRow));
      report[`${dimension}, ${side}`] = figures;
    }
  }
  replaceFile(inside(context, PAIRS_REPORT), `${JSON.stringify(report, null, 2)}\n`);
}
