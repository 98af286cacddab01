/** Rows with their states: what all fits and figures read. */
import { isUnsafe, targetOf } from '../classifier/targets.ts';
import type { Block, Fitted } from './fit-logistic.ts';
import type { PlannedPrompt } from './plan-prompts.ts';
import type { ProbePart, ProbeRow } from './probe-rows.ts';
import { type BlockName, blockNames, type Pooling, type States } from './read-states.ts';

export type Corpus = {
  rows: readonly ProbeRow[];
  states: States;
  /** d */
  hiddenSize: number;
  windows: readonly number[];
  /** For each row and window size, the places of its pieces in the states. */
  pieces: readonly (readonly (readonly number[])[])[];
};

/** What a probe reads. */
export type Reading = { layers: readonly number[]; poolings: readonly Pooling[]; window: number };

/** @param plans in the order of the states; each row has one */
export function corpusOf(
  rows: readonly ProbeRow[],
  {
    plans,
    states,
    hiddenSize,
    windows,
  }: Pick<Corpus, 'states' | 'hiddenSize' | 'windows'> & { plans: readonly PlannedPrompt[] },
): Corpus {
  const places = placesOf(plans);
  const pieces = Array.from(rows, (_, row) => places.get(row)!);
  return { rows, states, hiddenSize, windows, pieces };
}

/**
 * For each plan's prompt and window size, where its pieces are among the states.
 *
 * @param plans in the order of the states
 */
export function placesOf(
  plans: readonly Pick<PlannedPrompt, 'prompt' | 'pieces' | 'ofWindow'>[],
): Map<number, number[][]> {
  const found = new Map<number, number[][]>();
  let first = 0;
  for (const { prompt, pieces, ofWindow } of plans) {
    const start = first;
    found.set(
      prompt,
      ofWindow.map((places) => places.map((place) => start + place)),
    );
    first += pieces.length;
  }
  return found;
}

export function blockOf({ states, hiddenSize }: Corpus, name: BlockName): Block {
  return { width: hiddenSize, data: states.get(name)! };
}

export function rowsOfPart({ rows }: Corpus, part: ProbePart): number[] {
  return [...rows.keys()].filter((row) => rows[row]!.part === part);
}

export type TrainingPiece = { row: number; piece: number; weight: number };

/**
 * No window of a harmless prompt is harmful: it teaches with each, and counts once. In other
 * prompts nobody knows which window is; the last one has read all of them.
 */
export function trainingPieces(corpus: Corpus, rows: readonly number[], window: number): TrainingPiece[] {
  return rows.flatMap((row) => {
    const { example } = corpus.rows[row]!;
    const pieces = piecesOf(corpus, row, window);
    const used = isUnsafe(example) === false ? pieces : pieces.slice(-1);
    return used.map((piece) => ({ row, piece, weight: example.weight / used.length }));
  });
}

export function targetsFor({ rows }: Corpus, pieces: readonly TrainingPiece[], judgement: number): (number | null)[] {
  return pieces.map(({ row }) => targetOf(rows[row]!.example, judgement));
}

/**
 * What a regression over plain states says of each row: the log-odds of its strictest window.
 *
 * @returns one number for each of `rows`
 */
export function scoresOf(
  corpus: Corpus,
  rows: readonly number[],
  { fitted, reading }: { fitted: Fitted; reading: Reading },
): number[] {
  const blocks = blockNames(reading.layers, reading.poolings).map((name) => corpus.states.get(name)!);
  const { hiddenSize: d } = corpus;
  return rows.map((row) =>
    piecesOf(corpus, row, reading.window).reduce((strictest, piece) => {
      let z = fitted.bias;
      for (const [i, block] of blocks.entries()) {
        const weight = fitted.weight[i]!;
        for (let k = 0; k < d; k++) z += weight[k]! * block[piece * d + k]!;
      }
      return Math.max(strictest, z);
    }, Number.NEGATIVE_INFINITY),
  );
}

function piecesOf({ pieces, windows }: Corpus, row: number, window: number): readonly number[] {
  const found = pieces[row]?.[windows.indexOf(window)];
  if (found === undefined)
    throw new Error(`row ${row}: found no windows of ${window} tokens, wanted ${windows.join(' or ')}`);
  return found;
}
