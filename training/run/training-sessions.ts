/**
 * The session of a training graph. It takes batches of every shape, so there is only one, made on
 * first use, and what it packs of the base is in memory once. Two sessions in one process also
 * fight over threads. So the one that trains scores too (`gradient-outputs.ts`).
 */
import { type Feed, float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { type FrozenBase, isStored } from '../graphs/frozen-weights.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';

/** Something that runs batches of a shape: a session, or one half of it. */
export type BatchRunner = { run: (feeds: Record<string, Feed>) => Promise<Record<string, Float32Array>> };

export type SessionOf = (batch: BatchShape) => Promise<BatchRunner>;

type TrainingSessions = {
  /** Runs the whole graph. */
  train: SessionOf;
  /**
   * Runs the forward half of a graph built with `scoresToo`, and gives the output that
   * `trainingSessions` was told. The loss needs no inputs of its own here.
   */
  score: SessionOf;
  /** Gives the session's memory back. The next run makes another one. */
  release: () => Promise<void>;
};

/**
 * @param build the graph, as the bytes of a model
 * @param base the frozen base that the graph was built with, or null
 * @param scores the output that `score` gives
 */
export function trainingSessions(
  build: () => Uint8Array,
  {
    base,
    contextLength,
    threads,
    scores = 'logprobs',
  }: { base: FrozenBase | null; contextLength: number; threads: number; scores?: string },
): TrainingSessions {
  let made: Promise<GraphSession> | null = null;
  const folder = base !== null && isStored(base) ? { weightsFolder: base.folder } : {};
  const session = ({ length }: BatchShape) => {
    if (length > contextLength) {
      throw new Error(`rows of ${length} tokens are longer than the context of ${contextLength}`);
    }
    made ??= GraphSession.create(build(), { threads, ...folder });
    return made;
  };
  return {
    async train(shape) {
      const trainer = await session(shape);
      return { run: (feeds) => trainer.run({ ...feeds, learning: int64([1], [1]) }) };
    },
    async score(shape) {
      const scorer = await session(shape);
      const rest = unusedInputs(shape);
      return { run: (feeds) => scorer.run({ ...rest, ...feeds }, [scores]) };
    },
    async release() {
      const old = made;
      made = null;
      await (await old)?.release();
    },
  };
}

/** What only the losses read. onnxruntime wants every input, and ignores those of other graphs. */
function unusedInputs({ rows, length }: BatchShape): Record<string, Feed> {
  const zeros = (...dims: number[]) => float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)));
  return {
    learning: int64([1], [0]),
    reference: zeros(rows),
    margin: zeros(rows / 2),
    signs: zeros(rows),
    sign_weights: zeros(rows),
    regulariser_weights: zeros(rows, length),
  };
}
