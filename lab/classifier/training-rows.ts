/**
 * Examples as training sees them: hashed, with one target per column. Long harmless texts also come
 * in pieces, because the edge reads them in pieces.
 */
import type { Featurizer } from '#shared/classify/features.ts';
import { partsOf } from '#shared/classify/parts.ts';
import { plainReading } from '#shared/classify/readings.ts';
import { windowsOf } from '#shared/classify/windows.ts';
import { columnTargets, harmOf } from './columns.ts';
import type { Example } from './example.ts';
import type { FeatureRow } from './fit.ts';

/**
 * All pieces of a text together count as this many prompts. When each piece counted as half a
 * prompt, documents outvoted prompts, and the model was worse at telling apart pairs in nearly the
 * same words (ROC-AUC 0.742 instead of 0.755 on held-out templates).
 */
const PIECES_WEIGHT = 1;
/**
 * Every source has some wrong labels. A model that did not have to be certain of its labels did
 * better on strangers' prompts.
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
      // No piece of a harmless text is harmful. In a harmful text, we do not know which piece is.
      const pieces =
        harmOf(example) === 0 && example.targets.at(-1) === 0 ? [...windowsOf(text), ...partsOf(text)] : [];
      const share = (PIECES_WEIGHT * example.weight) / pieces.length;
      return [row(text, example.weight), ...pieces.map((piece) => row(piece, share))];
    });
}

function smooth(target: number): number {
  return SMOOTHING + (1 - 2 * SMOOTHING) * target;
}
