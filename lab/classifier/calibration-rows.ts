/**
 * What probabilities are fitted on: each source's prompts as a model says that never saw the
 * source, all sources alike. Our own prompts are the exception. They are most of what categories
 * and jailbreaks are learned from, and a model without them is another model; of those the ones
 * that calibrate, which trained nothing, are asked of the model that ships.
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

/** One curve per judgement, on rows balanced as `balance.ts` says. */
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
