/**
 * The rows on which we fit the probabilities. The prompts of each source are scored by a model that
 * never saw that source. Our own prompts are the exception. The classifier learns categories and
 * jailbreaks mostly from them, so a model without them would be a different model. From our own
 * prompts we take only the calibration split, which trained nothing, and let the model that ships
 * score it.
 */

import type { ScoreText } from '#shared/classify/score-text.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { balancedWeights } from './balance.ts';
import { fitPlatt, type Platt } from './calibrate.ts';
import type { LeftOut } from './cross-fit.ts';
import type { Example } from './example.ts';
import { OWN_SOURCE } from './licences.ts';
import { targetOf } from './targets.ts';

type CalibrationRow = Pick<LeftOut, 'example' | 'logOdds'>;

export function calibrationRows(
  leftOut: readonly LeftOut[],
  { examples, score }: { examples: readonly Example[]; score: ScoreText },
): CalibrationRow[] {
  const own = examples
    .filter(({ source, split }) => source === OWN_SOURCE && split === 'calibration')
    .map((example) => ({ example, logOdds: score(example.text).logOdds.slice() }));
  return [...leftOut.filter(({ example }) => example.source !== OWN_SOURCE), ...own];
}

/** Fits one curve per judgement, on rows weighted by `balance.ts`. */
export function calibrate(rows: readonly CalibrationRow[]): Platt[] {
  const weights = balancedWeights(rows.map(({ example }) => example));
  return JUDGEMENTS.map((_, k) =>
    fitPlatt(
      rows.flatMap(({ example, logOdds }, i) => {
        const target = targetOf(example, k);
        return target === null ? [] : [{ score: logOdds[k]!, target, weight: weights[i]! }];
      }),
    ),
  );
}
