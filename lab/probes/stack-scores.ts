/**
 * One score from two: a logistic regression over the edge's log-odds and the probe's. It is fitted
 * on dev rows that neither has learned from. It says what the two know together; nothing of it is
 * served.
 */
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { balancedWeights } from '../classifier/balance.ts';
import { targetOf } from '../classifier/targets.ts';
import { type Corpus, rowsOfPart } from './corpus.ts';
import { type FitOptions, type Fitted, fitLogistic } from './fit-logistic.ts';
import type { By, Score } from './measured-sets.ts';
import { folded, scalingOf, standardised } from './standardise.ts';

const L2 = 1e-3;

export async function stackScores(corpus: Corpus, scores: readonly Score[], options: FitOptions): Promise<Score> {
  const byJudgement = new Map<By, Fitted>();
  for (const by of ['any_harm', 'jailbreak'] as const) {
    const judgement = by === 'any_harm' ? ANY_HARM : JUDGEMENTS.indexOf(by);
    const rows = rowsOfPart(corpus, 'dev').filter((row) => {
      const { example, seenByEdge } = corpus.rows[row]!;
      return !seenByEdge && targetOf(example, judgement) !== null;
    });
    const examples = rows.map((row) => corpus.rows[row]!.example);
    const weights = balancedWeights(examples);
    const block = {
      width: scores.length,
      data: Float32Array.from(rows.flatMap((row) => scores.map((score) => score(row, by)))),
    };
    const scaling = scalingOf(
      block,
      weights.map((weight, row) => ({ row, weight })),
    );
    const scaled = standardised(block, [...rows.keys()], scaling);
    const targets = examples.map((example) => targetOf(example, judgement));
    const { fitted } = await fitLogistic([scaled], [{ targets, weights, l2: L2 }], options);
    byJudgement.set(by, folded(fitted[0]!, [scaling]));
  }
  return (row, by) => {
    const { weight, bias } = byJudgement.get(by)!;
    return scores.reduce((sum, score, i) => sum + weight[0]![i]! * score(row, by), bias);
  };
}
