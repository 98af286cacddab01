/** What sources meet that the model never saw, from `crossFit`: each against the same harmless prompts from elsewhere, by the fold's own model. */
import { ANY_HARM, sigmoid } from '#shared/classify/combine-scores.ts';
import type { Platt } from './calibrate.ts';
import type { CrossFit, LeftOut } from './cross-fit.ts';
import { expectedCalibrationError, type Forecast, recallAt, rocAuc, type Scored } from './metrics.ts';
import { ANY_HARM_RAMP } from './recipe.ts';
import { targetOf } from './targets.ts';

export type LeftOutFigures = {
  source: string;
  harmful: number;
  harmless: number;
  /** By `any_harm`, the source's harmful prompts against harmless ones from elsewhere. */
  auc: number | undefined;
  recallAtOnePercent: number | undefined;
  /** Of either side, the share above the start of the ramp; undefined where the side is empty. */
  harmfulRising: number | undefined;
  harmlessRising: number | undefined;
  ece: number | undefined;
};

export function leftOutFigures({ leftOut, yardstick }: CrossFit, calibration: Platt): LeftOutFigures[] {
  const bySource = Object.groupBy(leftOut, ({ example }) => example.source);
  return Object.entries(bySource)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, rows = []]) => {
      const [harmful, harmless] = [1, 0].map((harm) =>
        rows.filter(({ example }) => targetOf(example, ANY_HARM) === harm).map(harmScore),
      ) as [number[], number[]];
      const elsewhere = yardstick[rows[0]!.fold]!.map((logOdds) => logOdds[ANY_HARM]!);
      const scored = [...toScored(harmful, true), ...toScored(elsewhere, false)];
      return {
        source,
        harmful: harmful.length,
        harmless: harmless.length,
        auc: rocAuc(scored),
        recallAtOnePercent: recallAt(scored, { falsePositiveRate: 0.01 }),
        harmfulRising: shareRising(harmful, calibration),
        harmlessRising: shareRising(harmless, calibration),
        ece: expectedCalibrationError(rows.flatMap((row) => forecast(row, calibration))),
      };
    });
}

function harmScore({ logOdds }: LeftOut): number {
  return logOdds[ANY_HARM]!;
}

function toScored(scores: readonly number[], positive: boolean): Scored[] {
  return scores.map((score) => ({ score, positive }));
}

function shareRising(scores: readonly number[], { slope, offset }: Platt): number | undefined {
  if (scores.length === 0) return undefined;
  return scores.filter((score) => sigmoid(slope * score + offset) > ANY_HARM_RAMP.from).length / scores.length;
}

function forecast(row: LeftOut, { slope, offset }: Platt): Forecast[] {
  const target = targetOf(row.example, ANY_HARM);
  return target === null ? [] : [{ probability: sigmoid(slope * harmScore(row) + offset), target }];
}
