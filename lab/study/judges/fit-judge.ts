/**
 * A judge is a logistic regression over the base's states of an answer. It learns from single
 * answers with a label, from pairs of which one has more of the trait (by the difference of their
 * states, as in Bradley and Terry's model), or from both.
 */
import { type Block, type FitOptions, type Fitted, fitLogistic } from '../../probes/fit-logistic.ts';
import { folded, scalingOf, standardised } from '../../probes/standardise.ts';

/** A labelled answer. `place` is its row in the states. */
type Single = { place: number; target: 0 | 1; weight: number };
/** `more` has more of the trait than `less`. */
type Couple = { more: number; less: number; weight: number };
export type JudgeRows = { singles: readonly Single[]; couples: readonly Couple[] };

type JudgeFit = Pick<FitOptions, 'steps' | 'learningRate' | 'threads'> & { l2: number };

/** The regression over plain states. Throws if there is nothing to learn from. */
export async function fitJudge(
  blocks: readonly Block[],
  { singles, couples }: JudgeRows,
  { l2, ...options }: JudgeFit,
): Promise<Fitted> {
  const seen = [
    ...singles.map(({ place, weight }) => ({ row: place, weight })),
    ...couples.flatMap(({ more, less, weight }) => [more, less].map((row) => ({ row, weight: weight / 2 }))),
  ];
  if (seen.length === 0) throw new Error('found no labelled answer, wanted some to fit a judge to');
  const scalings = blocks.map((block) => scalingOf(block, seen));
  const design = blocks.map((block, b) => designOf(block, { singles, couples }, scalings[b]!));
  // A pair is there both ways round, so that it says nothing about the bias.
  const column = {
    targets: [...singles.map(({ target }) => target), ...couples.flatMap(() => [1, 0])],
    weights: [...singles.map(({ weight }) => weight), ...couples.flatMap(({ weight }) => [weight / 2, weight / 2])],
    l2,
  };
  const { fitted } = await fitLogistic(design, [column], options);
  return folded(fitted[0]!, scalings);
}

function designOf(block: Block, { singles, couples }: JudgeRows, scaling: ReturnType<typeof scalingOf>): Block {
  const { width } = block;
  const alone = standardised(
    block,
    singles.map(({ place }) => place),
    scaling,
  );
  const sides = standardised(
    block,
    couples.flatMap(({ more, less }) => [more, less]),
    scaling,
  );
  const data = new Float32Array(alone.data.length + sides.data.length);
  data.set(alone.data);
  for (let pair = 0; pair < couples.length; pair++) {
    for (let k = 0; k < width; k++) {
      const [more, less] = [2 * pair * width + k, (2 * pair + 1) * width + k];
      const difference = sides.data[more]! - sides.data[less]!;
      data[alone.data.length + more] = difference;
      data[alone.data.length + less] = -difference;
    }
  }
  return { width, data };
}

/** The log-odds that the regression gives to every row of the states. */
export function scoresOf(blocks: readonly Block[], { weight, bias }: Fitted): Float64Array {
  const rows = blocks[0]!.data.length / blocks[0]!.width;
  const scores = new Float64Array(rows).fill(bias);
  for (const [b, { width, data }] of blocks.entries()) {
    const own = weight[b]!;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += own[k]! * data[row * width + k]!;
      scores[row]! += sum;
    }
  }
  return scores;
}

/**
 * For every row of the states, the log-odds by a regression that has learned nothing of its fold:
 * what the judge says of prompts that it does not know.
 *
 * @param folds of each row. Both answers of a pair must be in the same one.
 */
export async function heldOutScores(
  blocks: readonly Block[],
  { singles, couples }: JudgeRows,
  { folds, ...fit }: JudgeFit & { folds: readonly number[] },
): Promise<Float64Array> {
  const found = new Float64Array(folds.length);
  for (const fold of new Set(folds)) {
    const others = {
      singles: singles.filter(({ place }) => folds[place] !== fold),
      couples: couples.filter(({ more }) => folds[more] !== fold),
    };
    const scores = scoresOf(blocks, await fitJudge(blocks, others, fit));
    for (const [place, own] of folds.entries()) if (own === fold) found[place] = scores[place]!;
  }
  return found;
}
