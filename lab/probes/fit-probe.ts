/** Fits regressions to some rows of a corpus, over the states that a reading names. */
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { blockOf, type Corpus, type Reading, targetsFor, trainingPieces } from './corpus.ts';
import { type FitOptions, type Fitted, fitLogistic } from './fit-logistic.ts';
import { blockNames } from './read-states.ts';
import { folded, scalingOf, standardised } from './standardise.ts';

export type FitRequest = {
  reading: Reading;
  /** Places in the corpus. */
  rows: readonly number[];
  /** Places in `JUDGEMENTS`. */
  judgements: readonly number[];
  l2: readonly number[];
};

/**
 * For each judgement and strength one regression over plain states, `[judgements][strengths]`.
 * Throws if no row says anything about a judgement.
 */
export async function fitProbe(
  corpus: Corpus,
  { reading, rows, judgements, l2 }: FitRequest,
  options: FitOptions,
): Promise<{ fitted: Fitted[][]; gradientNorm: number }> {
  const pieces = trainingPieces(corpus, rows, reading.window);
  const weights = pieces.map(({ weight }) => weight);
  const places = pieces.map(({ piece }) => piece);
  const weighted = pieces.map(({ piece, weight }) => ({ row: piece, weight }));
  const blocks = blockNames(reading.layers, reading.poolings).map((name) => {
    const block = blockOf(corpus, name);
    const scaling = scalingOf(block, weighted);
    return { scaling, block: standardised(block, places, scaling) };
  });
  const columns = judgements.flatMap((judgement) => {
    const targets = targetsFor(corpus, pieces, judgement);
    if (targets.every((target) => target === null)) {
      throw new Error(`${JUDGEMENTS[judgement]}: found no prompt in training that says anything about it`);
    }
    return l2.map((strength) => ({ targets, weights, l2: strength }));
  });
  const { fitted, gradientNorm } = await fitLogistic(
    blocks.map(({ block }) => block),
    columns,
    options,
  );
  const plain = fitted.map((each) =>
    folded(
      each,
      blocks.map(({ scaling }) => scaling),
    ),
  );
  return {
    fitted: judgements.map((_, j) => plain.slice(j * l2.length, (j + 1) * l2.length)),
    gradientNorm,
  };
}
