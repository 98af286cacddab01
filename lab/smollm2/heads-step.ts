/**
 * The step `heads`: asks the reward and the cost model about pairs of the part test, once, at the
 * end. Length alone is asked too.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { encodePairs, type PairRows } from '#training/data/encode-pairs.ts';
import type { ScoreKind } from '#training/graphs/score-graph.ts';
import { replaceFile } from '#training/run/write-file.ts';
import { calibrationError } from '#training/stages/preference-figures.ts';
import { SCORE_DIMENSION } from '#training/stages/score.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import type { Candidate } from './candidates.ts';
import { choosePairs, lengths } from './choose-pairs.ts';
import { inside, type RecipeContext } from './context.ts';
import { runFolder } from './learn-steps.ts';
import { allPairs, PAIRS_REPORT } from './pairs-step.ts';

export const HEADS_OUTPUT = 'heads/report.json';

const FamilyReport = z.strictObject({
  pairs: z.int(),
  /** The share of pairs in the right order. */
  accuracy: z.number(),
  lengthAlone: z.number(),
  /** Of sigma(|gap|) as the probability that the order is right. */
  calibrationError: z.number(),
});
/** By model and family. */
export const HeadsReport = z.record(z.string(), z.record(z.string(), FamilyReport));
export type HeadsReport = z.infer<typeof HeadsReport>;

const TrainLengths = z.record(
  z.string(),
  z.record(z.string(), z.object({ before: z.object({ chosenLonger: z.number() }) })),
);

export async function headsStep(context: RecipeContext): Promise<void> {
  const { settings, threads, tokenizer, model: base } = context;
  const candidates = (await allPairs(context)).filter(({ part }) => part === 'test');
  const learned = TrainLengths.parse(JSON.parse(readFileSync(inside(context, PAIRS_REPORT), 'utf8')));
  const report: HeadsReport = {};
  for (const kind of ['reward', 'cost'] as const) {
    const dimension = SCORE_DIMENSION[kind];
    const { pairs: chosen } = choosePairs(candidates, {
      dimension,
      tokenizer,
      budgets: settings.pairs[dimension].test,
      maxRowTokens: settings.maxRowTokens,
      pairsPerBatch: settings.score.pairsPerBatch,
      seed: `${settings.seed}/test`,
      balanced: false,
    });
    const { pairs } = encodePairs(chosen, tokenizer, { dimension });
    const model = { base, padId: tokenizer.padId, threads, wanted: kind };
    const scorer = await loadScorer(inside(context, runFolder(kind)), model);
    const gaps = gapsOf(kind, await scorer.score(pairs, `heads: ${kind}`));
    await scorer.release();
    const judged = pairs.map((pair, i) => ({ pair, gap: gaps.get(i) ?? 0, family: familyOf(pair) }));
    report[kind] = Object.fromEntries(
      [...new Set(judged.map(({ family }) => family))].map((family) => {
        const longerWins = (learned[`${dimension}, train`]?.[family]?.before.chosenLonger ?? 0.5) >= 0.5;
        const own = judged.filter((one) => one.family === family);
        return [family, familyReport(own, longerWins)];
      }),
    );
  }
  makeFolder(inside(context, 'heads'));
  replaceFile(inside(context, HEADS_OUTPUT), `${JSON.stringify(report, null, 2)}\n`);
}

/** How much better the model finds the chosen answer, by the pairs' index. */
function gapsOf(kind: ScoreKind, scores: ReadonlyMap<number, readonly [number, number]>): Map<number, number> {
  const direction = kind === 'reward' ? 1 : -1;
  return new Map([...scores].map(([item, [chosen, rejected]]) => [item, direction * (chosen - rejected)]));
}

/** A tie counts half. */
export function familyReport(
  judged: readonly { pair: Pick<PairRows, 'chosen' | 'rejected'>; gap: number }[],
  longerWins: boolean,
): z.infer<typeof FamilyReport> {
  const share = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + (1 + Math.sign(value)) / 2, 0) / values.length;
  const longer = judged.map(({ pair }) => {
    const { chosen, rejected } = lengths(pair);
    return longerWins ? chosen - rejected : rejected - chosen;
  });
  const predictions = judged.map(({ gap }) => ({ probability: 1 / (1 + Math.exp(-Math.abs(gap))), right: gap > 0 }));
  return {
    pairs: judged.length,
    accuracy: share(judged.map(({ gap }) => gap)),
    lengthAlone: share(longer),
    calibrationError: calibrationError(predictions),
  };
}

function familyOf({ preference }: PairRows): string {
  // The pairs were encoded from candidates, and point to them.
  return (preference as Candidate).family;
}
