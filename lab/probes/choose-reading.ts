/**
 * Chooses layers, pooling, window and the strength of the pull towards 0, all on dev. First layers
 * and pooling at one window, then the window; each with its best strength.
 */
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS, LABELS } from '#shared/line/categories.ts';
import { rocAuc, type Scored } from '../classifier/metrics.ts';
import { targetOf } from '../classifier/targets.ts';
import { type Corpus, type Reading, rowsOfPart, scoresOf } from './corpus.ts';
import type { FitOptions, Fitted } from './fit-logistic.ts';
import { fitProbe } from './fit-probe.ts';
import { measuredSets, worth } from './measured-sets.ts';
import type { Pooling } from './read-states.ts';
import type { ProbeRecipe } from './recipe.ts';

export type Trial = { reading: Reading; l2: number; worth: number };

export const POOLING_SETS: readonly (readonly Pooling[])[] = [['mean'], ['last'], ['mean', 'last']];
/** Labels with fewer positives on dev choose nothing. */
const FEWEST = 5;

/** Every run of neighbouring candidates: 15; 15 and 19; 15, 19 and 23; 19; ... */
export function layerSets(layers: readonly number[]): number[][] {
  return layers.flatMap((_, from) => layers.slice(from).map((_, i) => layers.slice(from, from + i + 1)));
}

export async function chooseReading(
  corpus: Corpus,
  {
    layers,
    recipe: { firstWindow, l2 },
    fit,
    onTrial = () => {},
  }: {
    layers: readonly number[];
    recipe: Pick<ProbeRecipe, 'firstWindow' | 'l2'>;
    fit: FitOptions;
    onTrial?: (trial: Trial) => void;
  },
): Promise<{ reading: Reading; trials: Trial[] }> {
  const trials: Trial[] = [];
  const attempt = async (reading: Reading) => {
    const trial = await tryReading(corpus, { reading, l2, fit });
    trials.push(trial);
    onTrial(trial);
  };
  for (const set of layerSets(layers)) {
    for (const poolings of POOLING_SETS) await attempt({ layers: set, poolings, window: firstWindow });
  }
  const { reading } = best(trials);
  for (const window of corpus.windows) if (window !== firstWindow) await attempt({ ...reading, window });
  return { reading: best(trials).reading, trials };
}

/** Of equals the first, which reads less. */
function best(trials: readonly Trial[]): Trial {
  return trials.reduce((most, trial) => (trial.worth > most.worth ? trial : most));
}

async function tryReading(
  corpus: Corpus,
  { reading, l2, fit }: { reading: Reading; l2: readonly number[]; fit: FitOptions },
): Promise<Trial> {
  const request = { reading, rows: rowsOfPart(corpus, 'train'), judgements: [ANY_HARM], l2 };
  const { fitted } = await fitProbe(corpus, request, fit);
  return best(fitted[0]!.map((each, i) => ({ reading, l2: l2[i]!, worth: worthOf(corpus, each, reading) })));
}

function worthOf(corpus: Corpus, fitted: Fitted, reading: Reading): number {
  const dev = rowsOfPart(corpus, 'dev');
  const found = new Map(scoresOf(corpus, dev, { fitted, reading }).map((score, i) => [dev[i]!, score]));
  return worth(measuredSets(corpus.rows, dev), (row) => found.get(row)!);
}

/**
 * The regressions that are kept, one per judgement: `any_harm` has a strength of its own, and all
 * labels share one, because some have few prompts on dev.
 */
export function chooseStrengths(
  corpus: Corpus,
  { fitted, reading, l2 }: { fitted: readonly (readonly Fitted[])[]; reading: Reading; l2: readonly number[] },
): { kept: Fitted[]; strengths: { any_harm: number; labels: number } } {
  const dev = rowsOfPart(corpus, 'dev');
  const indexOfBest = (values: readonly number[]) => values.indexOf(Math.max(...values));
  const harm = indexOfBest(fitted[ANY_HARM]!.map((each) => worthOf(corpus, each, reading)));
  const labels = indexOfBest(
    l2.map((_, strength) => {
      const aucs = LABELS.flatMap((_, k) => {
        const scores = scoresOf(corpus, dev, { fitted: fitted[k]![strength]!, reading });
        const known = dev.flatMap((row, i): Scored[] => {
          const target = targetOf(corpus.rows[row]!.example, k);
          return target === 0 || target === 1 ? [{ score: scores[i]!, positive: target === 1 }] : [];
        });
        return known.filter(({ positive }) => positive).length < FEWEST ? [] : [rocAuc(known) ?? 0];
      });
      return aucs.reduce((sum, auc) => sum + auc, 0) / Math.max(1, aucs.length);
    }),
  );
  return {
    kept: JUDGEMENTS.map((_, k) => fitted[k]![k === ANY_HARM ? harm : labels]!),
    strengths: { any_harm: l2[harm]!, labels: l2[labels]! },
  };
}
