/**
 * Examples as the weights see them: hashed, with one target a column; long harmless texts in pieces
 * too, as the edge reads them.
 */
import type { Featurizer } from '#shared/classify/features.ts';
import { plainReading } from '#shared/classify/readings.ts';
import { windowsOf } from '#shared/classify/windows.ts';
import { columnTargets, harmOf } from './columns.ts';
import type { Example } from './example.ts';
import type { FeatureRow } from './fit.ts';

/** A piece of a long text counts less than a prompt that somebody wrote. */
const PIECE_WEIGHT = 0.5;
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
      const pieces = harmOf(example) === 0 && example.targets.at(-1) === 0 ? windowsOf(text) : [];
      return [row(text, example.weight), ...pieces.map((piece) => row(piece, PIECE_WEIGHT * example.weight))];
    });
}

function smooth(target: number): number {
  return SMOOTHING + (1 - 2 * SMOOTHING) * target;
}
