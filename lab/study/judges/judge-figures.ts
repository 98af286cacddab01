/**
 * How good a judge is on answers to prompts that it has not learned from: for the report, as
 * percentages, areas from 0 to 1, and counts.
 */
import { sigmoid } from '#shared/classify/combine-scores.ts';
import { fitPlatt, type Platt } from '../../classifier/calibrate.ts';
import { expectedCalibrationError, rocAuc } from '../../classifier/metrics.ts';

/** A held-out answer. `positive` is the truth, `score` the judge's calibrated log-odds. */
type ScoredAnswer = {
  score: number;
  positive: boolean;
  source: string;
  length: number;
  /** Its prompt, in words. */
  prompt: string;
  /** Log-odds by a regression that has seen the prompt alone, and has not learned from it. */
  byPrompt: number;
  /** Log-odds by a regression that has not learned from its source. null: there is none. */
  unseen: number | null;
};
/** A held-out pair, with the scores and lengths of both answers. */
export type ScoredPair = {
  scores: { more: number; less: number };
  lengths: { more: number; less: number };
  source: string;
  /** Pairs of one prompt are not independent, so intervals draw whole prompts. */
  key: string;
};

export type Figures = Record<string, number>;

const percent = (share: number) => 100 * share;
const shareOf = <T>(rows: readonly T[], holds: (row: T) => boolean) => rows.filter(holds).length / rows.length;

/** Both kinds of answers weigh the same, whatever their numbers. None at all: scores stay. */
export function calibrationOf(rows: readonly Pick<ScoredAnswer, 'score' | 'positive'>[]): Platt {
  if (rows.length === 0) return { slope: 1, offset: 0 };
  const weights = evenWeights(rows);
  return fitPlatt(rows.map(({ score, positive }, i) => ({ score, target: Number(positive), weight: weights[i]! })));
}

function evenWeights(rows: readonly Pick<ScoredAnswer, 'positive'>[]): number[] {
  const positives = rows.filter(({ positive }) => positive).length;
  const half = rows.length / 2;
  return rows.map(({ positive }) => half / (positive ? positives : rows.length - positives));
}

/**
 * The area under ROC among the answers to one prompt, on average over the prompts that have both
 * kinds: what is left where the prompt tells nothing. null if there is no such prompt.
 */
export function areaWithinPrompts(
  rows: readonly Pick<ScoredAnswer, 'score' | 'positive' | 'prompt'>[],
): { prompts: number; area: number } | null {
  const areas = [...Map.groupBy(rows, ({ prompt }) => prompt).values()].flatMap((own) => rocAuc(own) ?? []);
  return areas.length === 0 ? null : { prompts: areas.length, area: areas.reduce((a, b) => a + b, 0) / areas.length };
}

/**
 * Of single answers: all together, then the accuracy of each source. `baseline` is another way to
 * tell, that nobody had to learn.
 */
export function answerFigures(rows: readonly (ScoredAnswer & { baseline: boolean })[], baseline: string): Figures {
  if (rows.length === 0) return {};
  const told = ({ score }: ScoredAnswer) => score > 0;
  const isRight = (row: ScoredAnswer) => told(row) === row.positive;
  const byBaseline = (some: typeof rows) => percent(shareOf(some, (row) => row.baseline === row.positive));
  const positives = rows.filter(({ positive }) => positive);
  const claimed = rows.filter(told);
  const area = rocAuc(rows);
  const byLength = rocAuc(rows.map(({ length, positive }) => ({ score: length, positive })));
  const byPrompt = rocAuc(rows.map((row) => ({ ...row, score: row.byPrompt })));
  const within = areaWithinPrompts(rows);
  // Calibration takes both kinds for equally many, so its error does so too.
  const weights = evenWeights(rows);
  const gap = expectedCalibrationError(
    rows.map(({ score, positive }, i) => ({
      probability: sigmoid(score),
      target: Number(positive),
      weight: weights[i]!,
    })),
  );
  return {
    'held-out answers': rows.length,
    'of them yes': positives.length,
    'accuracy, %': percent(shareOf(rows, isRight)),
    ...(positives.length > 0 && { 'recall, %': percent(shareOf(positives, told)) }),
    ...(claimed.length > 0 && { 'precision, %': percent(shareOf(claimed, ({ positive }) => positive)) }),
    ...(area !== undefined && { 'area under ROC': area }),
    ...(within !== null && {
      'prompts with both kinds of answers': within.prompts,
      'area under ROC within such a prompt': within.area,
    }),
    ...(byPrompt !== undefined && { 'area under ROC by the prompt alone': byPrompt }),
    ...(gap !== undefined && { 'calibration error, %': percent(gap) }),
    [`right by ${baseline}, %`]: byBaseline(rows),
    ...(byLength !== undefined && { 'area under ROC by length alone': Math.max(byLength, 1 - byLength) }),
    ...Object.fromEntries(
      [...Map.groupBy(rows, ({ source }) => source)].flatMap(([source, own]) => {
        const name = `${source} (${own.length})`;
        const yes = own.filter(({ positive }) => positive).length;
        const all: [string, number][] = [[`${name}: accuracy, %`, percent(shareOf(own, isRight))]];
        // Where all answers are of one kind, a rule that always says so is right.
        if (yes > 0 && yes < own.length) all.push([`${name}: right by ${baseline}, %`, byBaseline(own)]);
        return [...all, ...unseenFigures(name, own)];
      }),
    ),
  };
}

/** What a judge says of a source that it has not learned from. */
function unseenFigures(name: string, rows: readonly ScoredAnswer[]): [string, number][] {
  const known = rows.flatMap(({ unseen, positive }) => (unseen === null ? [] : [{ score: unseen, positive }]));
  if (known.length === 0) return [];
  const area = rocAuc(known);
  const right = percent(shareOf(known, ({ score, positive }) => score > 0 === positive));
  const all: [string, number][] = [[`${name}, not learned from: accuracy, %`, right]];
  if (area !== undefined) all.push([`${name}, not learned from: area under ROC`, area]);
  return all;
}

const isOrdered = ({ more, less }: { more: number; less: number }) => more > less;

/** Of pairs, all together and of each source. */
export function pairFigures(rows: readonly ScoredPair[]): Figures {
  if (rows.length === 0) return {};
  return {
    'held-out pairs': rows.length,
    'pairs ordered right, %': percent(shareOf(rows, ({ scores }) => isOrdered(scores))),
    'pairs that length alone orders right, %': percent(byLengthAlone(rows)),
    ...Object.fromEntries(
      [...Map.groupBy(rows, ({ source }) => source)].map(([source, own]) => [
        `${source} (${own.length}): pairs ordered right, %`,
        percent(shareOf(own, ({ scores }) => isOrdered(scores))),
      ]),
    ),
  };
}

/** The longer answer or the shorter one, whichever is right more often. A tie counts half. */
function byLengthAlone(rows: readonly ScoredPair[]): number {
  const longer = rows.reduce((sum, { lengths }) => sum + pointsOf(lengths), 0) / rows.length;
  return Math.max(longer, 1 - longer);
}

const pointsOf = ({ more, less }: { more: number; less: number }) => (Math.sign(more - less) + 1) / 2;
