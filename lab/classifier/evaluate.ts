/**
 * All the card's figures, computed from probabilities on rows used neither for training nor for
 * calibration.
 */

import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS, type Judgement, LABELS } from '#shared/line/categories.ts';
import type { QuestionKind } from '../world/rows.ts';
import type { Example } from './example.ts';
import { LICENCES } from './licences.ts';
import {
  expectedCalibrationError,
  type Forecast,
  type ReliabilityBin,
  recallAt,
  reliabilityBins,
  rocAuc,
  type Scored,
} from './metrics.ts';
import { FLAGGED } from './recipe.ts';
import { isUnsafe, targetOf } from './targets.ts';

const JAILBREAK = JUDGEMENTS.indexOf('jailbreak');

export type Judged = {
  example: Example & { questionKind?: QuestionKind; inDemo?: boolean };
  /** [judgements], as the edge reports them. */
  probabilities: readonly number[];
  /** [judgements], without calibration. */
  uncalibrated: readonly number[];
};

export type LabelFigures = {
  label: Judgement;
  positives: number;
  negatives: number;
  auc: number | undefined;
  recallAtOnePercent: number | undefined;
  ece: number | undefined;
  eceUncalibrated: number | undefined;
};
export type Flags = { rows: number; flagged: number };
export type KindFigures = Flags & { p10: number; median: number; p90: number };

export function labelFigures(judged: readonly Judged[]): LabelFigures[] {
  return JUDGEMENTS.map((label, k) => {
    const known = forecasts(judged, k, 'probabilities');
    const decided = known
      .filter(({ target }) => target === 0 || target === 1)
      .map(({ probability, target }): Scored => ({ score: probability, positive: target === 1 }));
    const positives = decided.filter(({ positive }) => positive).length;
    return {
      label,
      positives,
      negatives: decided.length - positives,
      auc: rocAuc(decided),
      recallAtOnePercent: recallAt(decided, { falsePositiveRate: 0.01 }),
      ece: expectedCalibrationError(known),
      eceUncalibrated: expectedCalibrationError(forecasts(judged, k, 'uncalibrated')),
    };
  });
}

/** One panel of the reliability plot. */
export type Reliability = { name: string; before: ReliabilityBin[]; after: ReliabilityBin[] };

/**
 * First the probabilities of all judgements together, then each judgement alone. `before` is
 * without calibration.
 */
export function reliability(judged: readonly Judged[]): Reliability[] {
  const panel = (name: string, columns: readonly number[]): Reliability => ({
    name,
    before: reliabilityBins(columns.flatMap((k) => forecasts(judged, k, 'uncalibrated'))),
    after: reliabilityBins(columns.flatMap((k) => forecasts(judged, k, 'probabilities'))),
  });
  return [panel('all', [...JUDGEMENTS.keys()]), ...JUDGEMENTS.map((label, k) => panel(label, [k]))];
}

/**
 * The model's probabilities for a judgement, each with its target, for the rows whose target is
 * known.
 */
function forecasts(judged: readonly Judged[], k: number, which: 'probabilities' | 'uncalibrated'): Forecast[] {
  return judged.flatMap((row) => {
    const target = targetOf(row.example, k);
    return target === null ? [] : [{ probability: row[which][k]!, target }];
  });
}

/**
 * Compares unsafe prompts (harmful ones and jailbreaks) with benign ones by the largest of the
 * fifteen probabilities.
 */
export function anyFigures(judged: readonly Judged[]) {
  const scored = judged.flatMap((row): Scored[] => {
    const truth = isUnsafe(row.example);
    return truth === null ? [] : [{ score: largest(row), positive: truth }];
  });
  const flagsOf = (positive: boolean) =>
    flags(scored.filter((row) => row.positive === positive).map(({ score }) => score));
  return {
    auc: rocAuc(scored),
    recallAtOnePercent: recallAt(scored, { falsePositiveRate: 0.01 }),
    unsafe: flagsOf(true),
    benign: flagsOf(false),
  };
}

/** How many safe prompts full of frightening words are flagged, by source. */
export function overFlagging(judged: readonly Judged[]): Record<string, Flags> {
  const scary = judged.filter(({ example }) => example.scary);
  return mapValues(
    Object.groupBy(scary, ({ example }) => example.source),
    (rows) => flags(rows.map(largest)),
  );
}

export function worldFigures(judged: readonly Judged[], { inDemo }: { inDemo: boolean }) {
  const questions = judged.filter(({ example }) => example.questionKind !== undefined && example.inDemo === inDemo);
  const kinds = Object.groupBy(questions, ({ example }) => example.questionKind!);
  const against = (kind: QuestionKind) =>
    rocAuc([
      ...(kinds[kind] ?? []).map((row) => ({ score: largest(row), positive: true })),
      ...(kinds.ordinary ?? []).map((row) => ({ score: largest(row), positive: false })),
    ]);
  return {
    harmfulAuc: against('harmful'),
    borderlineAuc: against('borderline'),
    kinds: mapValues(kinds, (rows): KindFigures => {
      const sorted = rows.map(largest).sort((a, b) => a - b);
      const quantile = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;
      return { ...flags(sorted), p10: quantile(0.1), median: quantile(0.5), p90: quantile(0.9) };
    }),
  };
}

/**
 * How the model does on prompts from elsewhere, which their licence keeps out of training. Each
 * source's unsafe prompts are ranked against the benign ones of all sources.
 */
export function transferFigures(judged: readonly Judged[]) {
  const bySource = Object.groupBy(judged, ({ example }) => example.source);
  const benign = judged.filter(({ example }) => isUnsafe(example) === false && !example.scary);
  return Object.entries(bySource)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, rows = []]) => {
      const sideOf = (unsafe: boolean) =>
        flags(rows.filter(({ example }) => isUnsafe(example) === unsafe).map(largest));
      // Jailbreak sources say nothing about harm.
      const k = rows.some(({ example }) => example.targets.at(-1) === 1) ? JAILBREAK : ANY_HARM;
      const scored = (list: readonly Judged[], positive: boolean) =>
        list.map(({ probabilities }): Scored => ({ score: probabilities[k]!, positive }));
      const pool = [
        ...scored(
          rows.filter(({ example }) => isUnsafe(example)),
          true,
        ),
        ...scored(benign, false),
      ];
      return {
        source,
        licence: LICENCES[source]!.licence,
        by: JUDGEMENTS[k]!,
        auc: rocAuc(pool),
        recallAtOnePercent: recallAt(pool, { falsePositiveRate: 0.01 }),
        unsafe: sideOf(true),
        benign: sideOf(false),
      };
    });
}

/**
 * How far int8 is from float on the same rows: in probabilities, in ranking, and in what is
 * flagged.
 */
export function quantizationLoss(float: readonly Judged[], int8: readonly Judged[]) {
  const gaps = float.flatMap(({ probabilities }, i) =>
    probabilities.map((probability, k) => Math.abs(probability - int8[i]!.probabilities[k]!)),
  );
  const meanAuc = (judged: readonly Judged[]) => mean(labelFigures(judged).flatMap(({ auc }) => auc ?? []));
  const meanEce = (judged: readonly Judged[]) => mean(labelFigures(judged).flatMap(({ ece }) => ece ?? []));
  return {
    meanGap: mean(gaps),
    largestGap: gaps.reduce((most, gap) => Math.max(most, gap), 0),
    floatAuc: meanAuc(float),
    int8Auc: meanAuc(int8),
    floatEce: meanEce(float),
    int8Ece: meanEce(int8),
    flippedFlags: float.filter((row, i) => largest(row) > FLAGGED !== largest(int8[i]!) > FLAGGED).length,
    rows: float.length,
  };
}

function flags(scores: readonly number[]): Flags {
  return { rows: scores.length, flagged: scores.filter((score) => score > FLAGGED).length };
}

/** The largest probability of the fifteen labels. `any_harm` is not a label. */
function largest({ probabilities }: Judged): number {
  return Math.max(...probabilities.slice(0, LABELS.length));
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function mapValues<T, R>(record: Partial<Record<string, T>>, map: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value!)]));
}
