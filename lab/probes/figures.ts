/** All figures of one training of the probe. `metrics.json` holds exactly this. */
import type { Judgement } from '#shared/line/categories.ts';
import type { Trial } from './choose-reading.ts';
import type { Corpus, Reading } from './corpus.ts';
import { rowsOfPart } from './corpus.ts';
import {
  frightened,
  type MeasuredSet,
  measuredSets,
  ordinaryRows,
  type Score,
  type SetFigures,
  setFigures,
} from './measured-sets.ts';

type Facts = {
  base: { id: string; digest: string; row: 'safety' | 'base' };
  version: string;
  /** Prompts by part, and those that were too long. */
  prompts: { train: number; dev: number; test: number; leftOut: number; mostTokens: number };
  chosen: Reading;
  strengths: { any_harm: number; labels: number };
  /** At the end of the last fit. */
  gradientNorm: number;
  trials: readonly Trial[];
  edge: string;
  data: readonly { source: string; licence: string; train: number; dev: number; test: number; inWeights: boolean }[];
  labels: readonly { label: Judgement; positives: number; auc: number | null }[];
};

export const SCORES = ['edge', 'probe', 'both'] as const;
type ByScore<T> = Record<(typeof SCORES)[number], T>;

export type Compared = {
  set: string;
  by: MeasuredSet['by'];
  positives: number;
  figures: ByScore<SetFigures>;
};

/** On rows of a part from which neither the probe nor the edge's classifier has learned. */
export function compareScores(corpus: Corpus, part: 'dev' | 'test', scores: ByScore<Score>) {
  const rows = rowsOfPart(corpus, part).filter((row) => !corpus.rows[row]!.seenByEdge);
  const ordinary = ordinaryRows(corpus.rows, rows);
  const byScore = <T>(of: (score: Score) => T): ByScore<T> => ({
    edge: of(scores.edge),
    probe: of(scores.probe),
    both: of(scores.both),
  });
  const sets = measuredSets(corpus.rows, rows).map(
    (set): Compared => ({
      set: set.name,
      by: set.by,
      positives: set.positives.length,
      figures: byScore((score) => setFigures(set, ordinary, score)),
    }),
  );
  const flagged = byScore((score) => frightened(corpus.rows, { rows, ordinary, score }));
  return {
    ordinary: ordinary.length,
    sets,
    frightened: flagged.edge.map(({ source, prompts }, i) => ({
      source,
      prompts,
      edge: flagged.edge[i]!.flagged,
      probe: flagged.probe[i]!.flagged,
      both: flagged.both[i]!.flagged,
    })),
  };
}

/** The probe alone, on all rows of test: the edge's classifier has learned from some of them. */
export function probeFigures(corpus: Corpus, score: Score) {
  const rows = rowsOfPart(corpus, 'test');
  const ordinary = ordinaryRows(corpus.rows, rows);
  return measuredSets(corpus.rows, rows).map((set) => ({
    set: set.name,
    by: set.by,
    positives: set.positives.length,
    ...setFigures(set, ordinary, score),
  }));
}

export type Figures = Facts & {
  dev: ReturnType<typeof compareScores>;
  test: ReturnType<typeof compareScores>;
  probe: ReturnType<typeof probeFigures>;
  leftOut: readonly { source: string; by: string; positives: number; auc: number; recall: number }[];
};
