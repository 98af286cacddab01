/**
 * Fits the judges and measures them. Each figure is about answers to prompts that the fitted judge
 * had not seen: the data are cut into folds by prompt, and every fold is judged by a regression
 * that learned, and was calibrated, on the others. The judge that is used has learned from all of
 * them.
 *
 * Sources differ in more than the trait, and some hold one kind of answer only. So three figures
 * say how much of a judge is knowledge of prompts and sources: the area under ROC among answers to
 * one prompt, what the prompt alone tells, and how a judge does on a source that it has not learned
 * from.
 *
 * What is read of the states, and how strong the pull towards 0 is, was set once and is not chosen
 * here, so that the figures are not those of the best of many.
 */

import { declines } from '#training/data/declines.ts';
import { createRandom, hashToUnit } from '#training/data/random.ts';
import type { Platt } from '../../classifier/calibrate.ts';
import type { Block, Fitted } from '../../probes/fit-logistic.ts';
import { type BlockName, blockNames, type Pooling } from '../../probes/read-states.ts';
import type { AnswerStates } from './answer-states.ts';
import { fitJudge, heldOutScores, type JudgeRows, scoresOf } from './fit-judge.ts';
import { answerFigures, calibrationOf, type Figures, pairFigures, type ScoredPair } from './judge-figures.ts';
import { JUDGE_SOURCES, type JudgeCounts, type JudgeData, type JudgeSource, type Trait } from './labelled-answers.ts';

export type JudgeRecipe = {
  counts: JudgeCounts;
  folds: number;
  /** Which of the layers that are read. */
  layers: (candidates: readonly number[]) => readonly number[];
  poolings: readonly Pooling[];
  /** The pull towards 0, for a loss that is a mean. */
  l2: Readonly<Record<Trait, number>>;
  /** How much all pairs of a trait weigh beside all its single answers. */
  pairShare: number;
  steps: number;
  learningRate: number;
};

/** Some 1,400 answers, 125,000 tokens. */
export const JUDGES: JudgeRecipe = {
  counts: {
    'refusal-direction': 140,
    'steered-refusals': 40,
    'rm-bench': 45,
    diasafety: 150,
    world: 150,
    'safe-answers': 90,
    ordinary: 110,
    pku: 130,
    hh: 45,
    'alpaca-eval': 50,
    'helpful-mixed': 100,
  },
  folds: 5,
  // Of SmolLM2's 30: 15, 19 and 23, which tell most of a prompt too (lab/probes).
  layers: (candidates) => candidates.slice(0, 3),
  poolings: ['mean', 'last'],
  l2: { refuses: 0.1, harmful: 0.3, helpful: 0.3 },
  pairShare: 0.5,
  steps: 250,
  learningRate: 0.02,
};

export type Judgement = {
  fitted: Fitted;
  /** Of the regression's log-odds. */
  calibration: Platt;
  figures: Figures;
  /** null: it is used. Otherwise why not, in words. */
  unused: string | null;
};

export const readBlocks = ({ layers, poolings }: Pick<JudgeRecipe, 'layers' | 'poolings'>, read: readonly number[]) =>
  blockNames(layers(read), poolings);

type Given = {
  states: AnswerStates;
  /** Of each of these answers' prompts: its last token's states, in the same order. */
  prompts: AnswerStates['blocks'];
  blocks: readonly BlockName[];
  recipe: JudgeRecipe;
  threads: number;
};

/** Throws if no answer says anything of a trait. */
export async function learnJudges(data: JudgeData, given: Given): Promise<Record<Trait, Judgement>> {
  const refuses = await learn('refuses', data, given);
  const harmful = await learn('harmful', data, given);
  const helpful = await learn('helpful', data, given);
  return {
    refuses: measured(refuses, { data, states: given.states }),
    harmful: measured(harmful, { data, states: given.states }),
    helpful: measured(helpful, { data, states: given.states }),
  };
}

type Learned = {
  trait: Trait;
  rows: JudgeRows;
  fitted: Fitted;
  calibration: Platt;
  /** Calibrated log-odds for each row of the states, by regressions that do not know its prompt. */
  said: Float64Array;
  /** The same by the prompt alone, not calibrated. null: there are no single answers. */
  byPrompt: Float64Array | null;
  /** Log-odds for each row by a regression that has learned nothing from its source. */
  unseen: (number | null)[];
};

async function learn(
  trait: Trait,
  data: JudgeData,
  { states, prompts, blocks: names, recipe, threads }: Given,
): Promise<Learned> {
  const blocks = names.map((name) => states.blocks.get(name)!);
  const rows = rowsOf(trait, data, { states, recipe });
  const { steps, learningRate } = recipe;
  const fit = { steps, learningRate, threads, l2: recipe.l2[trait] };
  const folds = states.places.map((answer) =>
    Math.floor(recipe.folds * hashToUnit(`study/judges/fold/${data.answers[answer]!.key}`)),
  );
  const scores = await heldOutScores(blocks, rows, { ...fit, folds });
  const fitted = await fitJudge(blocks, rows, fit);
  const calibrationBut = (fold: number | null) =>
    calibrationOf(
      rows.singles
        .filter(({ place }) => folds[place] !== fold)
        .map(({ place, target }) => ({ score: scores[place]!, positive: target === 1 })),
    );
  // What calibrates a fold's scores has not seen them either.
  const ofFold = new Map([...new Set(folds)].map((fold) => [fold, calibrationBut(fold)]));
  const said = scores.map((score, place) => {
    const { slope, offset } = ofFold.get(folds[place]!)!;
    return slope * score + offset;
  });
  const alone = { singles: rows.singles, couples: [] };
  // Poolings of one token are all the same.
  const layerOf = (name: BlockName) => name.split('.')[0];
  const promptBlocks = [...new Map(names.map((name) => [layerOf(name), prompts.get(name)!])).values()];
  const byPrompt = rows.singles.length === 0 ? null : await heldOutScores(promptBlocks, alone, { ...fit, folds });
  const unseen = await unseenScores(trait, data, { states, blocks, recipe, fit });
  return { trait, rows, fitted, calibration: calibrationBut(null), said, byPrompt, unseen };
}

/** For each row of the states, the log-odds by a regression on all other sources. */
async function unseenScores(
  trait: Trait,
  data: JudgeData,
  {
    states,
    blocks,
    recipe,
    fit,
  }: Pick<Given, 'states' | 'recipe'> & { blocks: readonly Block[]; fit: Parameters<typeof fitJudge>[2] },
): Promise<Learned['unseen']> {
  const sourceOf = (place: number) => data.answers[states.places[place]!]!.source;
  const found: Learned['unseen'] = states.places.map(() => null);
  for (const source of new Set(rowsOf(trait, data, { states, recipe }).singles.map(({ place }) => sourceOf(place)))) {
    const others = rowsOf(trait, data, { states, recipe, without: source });
    // Without both kinds there is no threshold.
    if (new Set(others.singles.map(({ target }) => target)).size < 2) continue;
    const scores = scoresOf(blocks, await fitJudge(blocks, others, fit));
    for (const place of found.keys()) if (sourceOf(place) === source) found[place] = scores[place]!;
  }
  return found;
}

function measured(
  { trait, rows, fitted, calibration, said, byPrompt, unseen }: Learned,
  { data, states }: { data: JudgeData; states: AnswerStates },
): Judgement {
  const of = (place: number) => data.answers[states.places[place]!]!;
  const answers = rows.singles.map(({ place, target }) => ({
    score: said[place]!,
    positive: target === 1,
    source: JUDGE_SOURCES[of(place).source],
    length: of(place).answer.length,
    // Not the fold's key, which in the world is a whole topic's.
    prompt: JSON.stringify(of(place).prompt),
    byPrompt: byPrompt![place]!,
    unseen: unseen[place]!,
    baseline: (trait === 'refuses') === declines(of(place).answer),
  }));
  const pairs = rows.couples.map(
    ({ more, less }): ScoredPair => ({
      scores: { more: said[more]!, less: said[less]! },
      lengths: { more: of(more).answer.length, less: of(less).answer.length },
      source: JUDGE_SOURCES[of(more).source],
      key: of(more).key,
    }),
  );
  const figures = { ...answerFigures(answers, BASELINES[trait]), ...pairFigures(pairs) };
  return { fitted, calibration, figures, unused: trait === 'helpful' ? whyUnused(pairs) : null };
}

const BASELINES: Record<Trait, string> = {
  refuses: 'a rule of keywords',
  harmful: 'what a rule of keywords takes for no refusal',
  helpful: '',
};

/** Where the length of the answers tells as much, the judge says nothing more. */
export function whyUnused(pairs: readonly ScoredPair[]): string | null {
  const byPrompt = [...Map.groupBy(pairs, ({ key }) => key).values()];
  const random = createRandom('study/judges/beats-length');
  const gains = Array.from({ length: DRAWS }, () => {
    const drawn = byPrompt.flatMap(() => random.pick(byPrompt));
    const { 'pairs ordered right, %': own, 'pairs that length alone orders right, %': length } = pairFigures(drawn);
    return own! - length!;
  }).sort((a, b) => a - b);
  const least = gains[Math.floor(0.025 * DRAWS)]!;
  return least > 0 ? null : 'not used, because it does not order pairs better than length alone does';
}
const DRAWS = 1000;

/**
 * Places are those in the states. Yes and no weigh the same, and so do all sources that say yes, or
 * no: otherwise a source with many answers would decide how the others are read.
 */
function rowsOf(
  trait: Trait,
  { answers, pairs }: JudgeData,
  {
    states,
    recipe: { pairShare },
    without,
  }: { states: AnswerStates; recipe: JudgeRecipe /** Learn nothing from it. */; without?: JudgeSource },
): JudgeRows {
  const placeOf = new Map(states.places.map((answer, place) => [answer, place]));
  const known = states.places.flatMap((answer, place) => {
    const row = answers[answer]!;
    const label = trait === 'helpful' ? null : row[trait];
    return label === null || row.source === without
      ? []
      : [{ place, target: label ? (1 as const) : (0 as const), source: row.source }];
  });
  const singles = [...Map.groupBy(known, ({ target }) => target).values()].flatMap((side) => {
    const bySource = [...Map.groupBy(side, ({ source }) => source).values()];
    return bySource.flatMap((own) =>
      own.map(({ place, target }) => ({ place, target, weight: 1 / (bySource.length * own.length) })),
    );
  });
  const fits = pairs.flatMap(({ trait: of, more, less, source }) => {
    const [first, second] = [placeOf.get(more), placeOf.get(less)];
    return of !== trait || source === without || first === undefined || second === undefined
      ? []
      : [{ more: first, less: second }];
  });
  const mass = singles.length === 0 ? 1 : 2 * pairShare;
  return { singles, couples: fits.map((couple) => ({ ...couple, weight: mass / fits.length })) };
}
