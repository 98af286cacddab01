/**
 * Turns the probe's scores into probabilities, on dev rows whose licence lets them shape the
 * weights. As at the edge, unsafe and harmless prompts weigh the same, and no source drowns the
 * others.
 */
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { balancedWeights } from '../classifier/balance.ts';
import { fitPlatt } from '../classifier/calibrate.ts';
import { targetOf } from '../classifier/targets.ts';
import { type Corpus, type Reading, rowsOfPart, scoresOf } from './corpus.ts';
import type { Fitted } from './fit-logistic.ts';

/** One curve per judgement: p = sigmoid(a z + b). */
export type Calibration = { a: number; b: number };

export function calibrateProbe(
  corpus: Corpus,
  { kept, reading }: { kept: readonly Fitted[]; reading: Reading },
): Calibration[] {
  const rows = rowsOfPart(corpus, 'dev').filter((row) => corpus.rows[row]!.inWeights);
  const examples = rows.map((row) => corpus.rows[row]!.example);
  const weights = balancedWeights(examples);
  return JUDGEMENTS.map((_, k) => {
    const scores = scoresOf(corpus, rows, { fitted: kept[k]!, reading });
    const known = examples.flatMap((example, i) => {
      const target = targetOf(example, k);
      return target === null ? [] : [{ score: scores[i]!, target, weight: weights[i]! }];
    });
    const { slope, offset } = fitPlatt(known);
    return { a: slope, b: offset };
  });
}
