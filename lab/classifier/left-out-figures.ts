/**
 * How the model does on sources that it never saw, from `crossFit`. Each source is compared with
 * the same harmless prompts from elsewhere, scored by its fold's model.
 */

import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { probabilitiesOf } from '#shared/classify/probabilities.ts';
import { LABELS } from '#shared/line/categories.ts';
import type { Platt } from './calibrate.ts';
import type { CrossFit, LeftOut } from './cross-fit.ts';
import { expectedCalibrationError, type Forecast, recallAt, rocAuc, type Scored } from './metrics.ts';
import { ANY_HARM_RAMP, FLAGGED } from './recipe.ts';
import { targetOf } from './targets.ts';

const JAILBREAK = LABELS.indexOf('jailbreak');

export type LeftOutFigures = {
  source: string;
  /** `jailbreak` if the source has no other unsafe prompts. */
  by: 'any_harm' | 'jailbreak';
  harmful: number;
  harmless: number;
  /** The source's harmful prompts against harmless ones from elsewhere. */
  auc: number | undefined;
  recallAtOnePercent: number | undefined;
  /**
   * For each side, the share above the start of the ramp on `any_harm`, or above 0.5 as a
   * jailbreak. Undefined if the side is empty.
   */
  harmfulRising: number | undefined;
  harmlessRising: number | undefined;
  ece: number | undefined;
};

export function leftOutFigures(
  { leftOut, yardstick }: CrossFit,
  /** [judgements] */
  calibration: readonly Platt[],
): LeftOutFigures[] {
  const bySource = Object.groupBy(leftOut, ({ example }) => example.source);
  return Object.entries(bySource)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, rows = []]) => {
      const known = (k: number, target: number) => rows.filter(({ example }) => targetOf(example, k) === target);
      const k = known(ANY_HARM, 1).length === 0 && known(JAILBREAK, 1).length > 0 ? JAILBREAK : ANY_HARM;
      const from = k === JAILBREAK ? FLAGGED : ANY_HARM_RAMP.from;
      const probability = ({ logOdds }: Pick<LeftOut, 'logOdds'>) => probabilitiesOf(logOdds, calibration)[k]!;
      const [harmful, harmless] = [1, 0].map((target) => known(k, target).map(probability)) as [number[], number[]];
      const elsewhere = yardstick[rows[0]!.fold]!.map((logOdds) => probability({ logOdds }));
      const scored = [...toScored(harmful, true), ...toScored(elsewhere, false)];
      return {
        source,
        by: k === JAILBREAK ? 'jailbreak' : 'any_harm',
        harmful: harmful.length,
        harmless: harmless.length,
        auc: rocAuc(scored),
        recallAtOnePercent: recallAt(scored, { falsePositiveRate: 0.01 }),
        harmfulRising: shareAbove(harmful, from),
        harmlessRising: shareAbove(harmless, from),
        ece: expectedCalibrationError(
          rows.flatMap((row): Forecast[] => {
            const target = targetOf(row.example, k);
            return target === null ? [] : [{ probability: probability(row), target }];
          }),
        ),
      };
    });
}

function toScored(scores: readonly number[], positive: boolean): Scored[] {
  return scores.map((score) => ({ score, positive }));
}

function shareAbove(scores: readonly number[], from: number): number | undefined {
  return scores.length === 0 ? undefined : scores.filter((score) => score > from).length / scores.length;
}
