/**
 * The sets on which scores are compared: contrast pairs, where both sides use nearly the same
 * words, and each source's harmful prompts against ordinary harmless ones.
 */
import { harmOf } from '../classifier/columns.ts';
import type { ContrastExample } from '../classifier/contrast-prompts.ts';
import type { Example } from '../classifier/example.ts';
import { CONTRAST_SOURCE, WORLD_SOURCE } from '../classifier/licences.ts';
import { recallAt, rocAuc, type Scored } from '../classifier/metrics.ts';
import { isUnsafe } from '../classifier/targets.ts';
import { CHECK_SOURCE, type ProbeRow } from './probe-rows.ts';

export type By = 'any_harm' | 'jailbreak';

export type MeasuredSet = {
  name: string;
  kind: 'contrast' | 'source';
  by: By;
  /** Places of rows. */
  positives: readonly number[];
  negatives: readonly number[];
};

/** Fewer prompts say nothing. */
const FEWEST = 5;
/** The share of ordinary harmless prompts that may be flagged. */
const FALSE_ALARMS = 0.01;

const isContrast = (example: Example): example is ContrastExample => 'contrast' in example;
const truthOf = (example: Example, by: By) => (by === 'any_harm' ? harmOf(example) : example.targets.at(-1));

/** Harmless prompts without frightening words. */
export function ordinaryRows(all: readonly ProbeRow[], rows: readonly number[]): number[] {
  return rows.filter((row) => {
    const { example } = all[row]!;
    const isPair = example.source === CONTRAST_SOURCE || example.source === CHECK_SOURCE;
    return isUnsafe(example) === false && !example.scary && !isPair;
  });
}

export function measuredSets(all: readonly ProbeRow[], rows: readonly number[]): MeasuredSet[] {
  const ordinary = ordinaryRows(all, rows);
  const pairs = (name: string, by: By, isIn: (example: Example) => boolean): MeasuredSet => {
    const own = rows.filter((row) => isIn(all[row]!.example));
    return {
      name,
      kind: 'contrast',
      by,
      positives: own.filter((row) => isUnsafe(all[row]!.example) === true),
      negatives: own.filter((row) => isUnsafe(all[row]!.example) === false),
    };
  };
  const isJailbreak = (example: Example) => isContrast(example) && example.contrast.label === 'jailbreak';
  const contrast = [
    pairs('contrast pairs', 'any_harm', (example) => isContrast(example) && !isJailbreak(example)),
    pairs('contrast pairs of jailbreaks', 'jailbreak', isJailbreak),
    pairs('contrast check', 'any_harm', ({ source }) => source === CHECK_SOURCE),
  ];
  const bySource = Object.groupBy(rows, (row) => all[row]!.example.source);
  const sources = Object.entries(bySource)
    .filter(([source]) => source !== CONTRAST_SOURCE && source !== CHECK_SOURCE)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, own = []]) =>
      (['any_harm', 'jailbreak'] as const).map(
        (by): MeasuredSet => ({
          name,
          kind: 'source',
          by,
          positives: own.filter((row) => truthOf(all[row]!.example, by) === 1),
          negatives: ordinary,
        }),
      ),
    );
  return [...contrast, ...sources].filter(
    ({ positives, negatives }) => positives.length >= FEWEST && negatives.length >= FEWEST,
  );
}

/** Log-odds of a row by a judgement. */
export type Score = (row: number, by: By) => number;

export type SetFigures = { auc: number; recall: number };

/**
 * ROC-AUC, and the share of the set's positives above the threshold that flags 1 % of ordinary
 * harmless prompts.
 */
export function setFigures(
  { positives, negatives, by }: MeasuredSet,
  ordinary: readonly number[],
  score: Score,
): SetFigures {
  const scored = (rows: readonly number[], positive: boolean) =>
    rows.map((row): Scored => ({ score: score(row, by), positive }));
  const harmful = scored(positives, true);
  return {
    auc: rocAuc([...harmful, ...scored(negatives, false)]) ?? Number.NaN,
    recall: recallAt([...harmful, ...scored(ordinary, false)], { falsePositiveRate: FALSE_ALARMS }) ?? Number.NaN,
  };
}

/** The share of harmless prompts in harmful words above that threshold, by source. */
export function frightened(
  all: readonly ProbeRow[],
  { rows, ordinary, score }: { rows: readonly number[]; ordinary: readonly number[]; score: Score },
): { source: string; prompts: number; flagged: number }[] {
  const scary = rows.filter((row) => all[row]!.example.scary && all[row]!.example.source !== WORLD_SOURCE);
  return Object.entries(Object.groupBy(scary, (row) => all[row]!.example.source))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, own = []]) => {
      // What is flagged is what would be recalled, if these were what is looked for.
      const { recall } = setFigures(
        { name: source, kind: 'source', by: 'any_harm', positives: own, negatives: ordinary },
        ordinary,
        score,
      );
      return { source, prompts: own.length, flagged: recall };
    });
}

/**
 * What choices on dev maximise: half is telling pairs in nearly the same words apart, half is
 * telling harmful prompts from ordinary ones, each source counting once.
 */
export function worth(sets: readonly MeasuredSet[], score: Score, by: By = 'any_harm'): number {
  const meanOf = (kind: MeasuredSet['kind']) => {
    const own = sets.filter((set) => set.kind === kind && set.by === by);
    return own.length === 0
      ? null
      : own.reduce((sum, set) => sum + setFigures(set, set.negatives, score).auc, 0) / own.length;
  };
  const halves = [meanOf('contrast'), meanOf('source')].filter((mean) => mean !== null);
  if (halves.length === 0) throw new Error(`dev has too few prompts to choose by: wanted at least ${FEWEST} of a side`);
  return halves.reduce((sum, half) => sum + half, 0) / halves.length;
}
