/**
 * How a probe does on sources that it never saw: one more fit for each fold of sources, without
 * them, with the settings that were chosen. The nearest thing to strangers' prompts.
 */
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { FOLDS } from '../classifier/folds.ts';
import { type Corpus, type Reading, rowsOfPart, scoresOf } from './corpus.ts';
import type { FitOptions } from './fit-logistic.ts';
import { fitProbe } from './fit-probe.ts';
import { measuredSets, ordinaryRows, setFigures } from './measured-sets.ts';

export type LeftOutSource = { source: string; by: string; positives: number; auc: number; recall: number };

/** By `any_harm`, on rows of test against ordinary harmless prompts of sources that no fold has. */
export async function leaveOut(
  corpus: Corpus,
  { reading, l2, fit, onFold = () => {} }: { reading: Reading; l2: number; fit: FitOptions; onFold?: () => void },
): Promise<LeftOutSource[]> {
  const sourceOf = (row: number) => corpus.rows[row]!.example.source;
  const test = rowsOfPart(corpus, 'test');
  const elsewhere = test.filter((row) => !corpus.rows[row]!.inWeights);
  const found: LeftOutSource[] = [];
  for (const sources of FOLDS) {
    const rows = rowsOfPart(corpus, 'train').filter((row) => !sources.includes(sourceOf(row)));
    const own = test.filter((row) => sources.includes(sourceOf(row)));
    onFold();
    const asked = [...own, ...elsewhere];
    const sets = measuredSets(corpus.rows, asked).filter(
      ({ name, by, kind }) =>
        by === 'any_harm' && (sources.includes(name) || (kind === 'contrast' && name === 'contrast pairs')),
    );
    if (sets.length === 0 || rows.length === 0) continue;
    const { fitted } = await fitProbe(corpus, { reading, rows, judgements: [ANY_HARM], l2: [l2] }, fit);
    const scores = scoresOf(corpus, asked, { fitted: fitted[0]![0]!, reading });
    const scoreOf = new Map(asked.map((row, i) => [row, scores[i]!]));
    const ordinary = ordinaryRows(corpus.rows, elsewhere);
    for (const set of sets) {
      const against = set.kind === 'contrast' ? set : { ...set, negatives: ordinary };
      const figures = setFigures(against, ordinary, (row) => scoreOf.get(row)!);
      found.push({ source: set.name, by: set.by, positives: set.positives.length, ...figures });
    }
  }
  return found;
}
