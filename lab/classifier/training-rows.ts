/**
 * Examples as the weights see them: hashed, with one target a column; long harmless texts in pieces
 * too, as the edge reads them.
 */
import type { Featurizer } from '#shared/classify/features.ts';
import { partsOf } from '#shared/classify/parts.ts';
import { plainReading } from '#shared/classify/readings.ts';
import { windowsOf } from '#shared/classify/windows.ts';
import { columnTargets, harmOf } from './columns.ts';
import type { Example } from './example.ts';
import type { FeatureRow } from './fit.ts';

/**
 * All pieces of a text together count as so much of a prompt that somebody wrote. With half a prompt
 * for each, documents outvoted prompts: pairs in nearly the same words were told apart worse (ROC-AUC
 * 0.742 against 0.755 on held-out templates).
 */
const PIECES_WEIGHT = 1;
/**
 * A source's labels are not all right; a model that need not be certain of them told strangers'
 * prompts apart better.
 */
const SMOOTHING = 0.05;

export type SourcedRow = FeatureRow & { source: string };

export function trainingRows(examples: readonly Example[], featurize: Featurizer): SourcedRow[] {
  return examples
    .filter(({ split }) => split === 'train')
    .flatMap((example) => {
      const { source } = example;
      const targets = columnTargets(example).map((target) => (target === null ? null : smooth(target)));
      const row = (text: string, weight: number) => ({ buckets: featurize(text).slice(), targets, weight, source });
      const text = plainReading(example.text);
      // Nothing in a harmless text is harmful; of a harmful one nobody said which piece.
      const pieces =
        harmOf(example) === 0 && example.targets.at(-1) === 0 ? [...windowsOf(text), ...partsOf(text)] : [];
      const share = (PIECES_WEIGHT * example.weight) / pieces.length;
      return [row(text, example.weight), ...pieces.map((piece) => row(piece, share))];
    });
}

function smooth(target: number): number {
  return SMOOTHING + (1 - 2 * SMOOTHING) * target;
}
