/**
 * What a score head is trained through. With LoRA, every step goes through the base. A head alone
 * sees nothing but the base's own hidden states, which never change: they are computed once for
 * each answer, kept beside the run, and then a step is one product.
 */
import { type Feed, float32 } from '#gpu-backend/graph/session.ts';
import type { Targets } from '../graphs/lora.ts';
import {
  buildHeadTrainingGraph,
  buildScoreTrainingGraph,
  buildStatesGraph,
  type ScoreKind,
} from '../graphs/score-graph.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { keptFolder } from '../run/kept-numbers.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { type BatchRunner, trainingSessions } from '../run/training-sessions.ts';
import type { BaseModel } from './base-model.ts';
import { batchRows, keptOf, numbersOfPairs, type PairScores, type PairSet, scorePairs } from './pair-set.ts';
import { scoreFeeds, scoreScale } from './scorer.ts';

type HeadTraining = {
  /** The feeds of a batch of pairs to train on, and what runs them. */
  batch: (items: readonly number[], shape: BatchShape) => Promise<BatchRunner & { feeds: Record<string, Feed> }>;
  /** The scores of the held-out pairs, by the parameters as they are now. */
  scoreHeldOut: () => Promise<PairScores>;
};

type HeadTrainingOptions = {
  kind: ScoreKind;
  base: BaseModel;
  rank: number;
  alpha: number;
  targets: Targets;
  parameters: Parameters;
  padId: number;
  threads: number;
  /** The run's folder. */
  out: string;
};

type Sets = { train: PairSet; heldOut: PairSet };

export function headTraining(sets: Sets, options: HeadTrainingOptions): Promise<HeadTraining> {
  return options.rank === 0 ? onKeptStates(sets, options) : throughTheBase(sets, options);
}

async function throughTheBase({ train, heldOut }: Sets, options: HeadTrainingOptions): Promise<HeadTraining> {
  const { kind, base, rank, alpha, targets, parameters, padId, threads } = options;
  const { config, frozen } = base;
  const graph = { kind, base: frozen, rank, loraScale: scoreScale({ rank, alpha }), targets, scoresToo: true };
  const sessions = trainingSessions(() => buildScoreTrainingGraph(config, graph), {
    base: frozen,
    contextLength: config.max_position_embeddings,
    threads,
    scores: 'scores',
  });
  return {
    batch: async (items, shape) => {
      const { run } = await sessions.train(shape);
      return { feeds: scoreFeeds(batchRows(train.pairs, items), shape, { padId }), run };
    },
    // In the training's own batches: the forward half of its graph keeps what the other half needs.
    scoreHeldOut: () =>
      scorePairs(heldOut, {
        session: sessions.score,
        feeds: (rows, shape) => ({ ...scoreFeeds(rows, shape, { padId }), ...parameterFeeds(parameters) }),
        output: 'scores',
        label: null,
      }),
  };
}

async function onKeptStates({ train, heldOut }: Sets, options: HeadTrainingOptions): Promise<HeadTraining> {
  const { kind, base, parameters, padId, threads, out } = options;
  const { config, frozen } = base;
  const width = config.hidden_size;
  const contextLength = config.max_position_embeddings;
  const throughBase = trainingSessions(() => buildStatesGraph(config, { base: frozen }), {
    base: frozen,
    contextLength,
    threads,
  });
  const statesOf = (set: PairSet, what: string) =>
    numbersOfPairs(set, {
      session: throughBase.train,
      feeds: (rows, shape) => scoreFeeds(rows, shape, { padId }),
      output: 'states',
      width,
      label: `${kind}: ${what}`,
      kept: keptOf(set, { what: 'states', width, folder: keptFolder(out), base: base.digest, adapter: 'none' }),
    });
  const [trained, held] = [await statesOf(train, 'hidden states'), await statesOf(heldOut, 'held-out hidden states')];
  await throughBase.release();

  const head = trainingSessions(() => buildHeadTrainingGraph(config, { kind }), { base: null, contextLength, threads });
  const stateAt = (states: Float32Array, item: number, side: 0 | 1) =>
    states.subarray((2 * item + side) * width, (2 * item + side + 1) * width);
  return {
    batch: async (items, shape) => {
      const states = new Float32Array(2 * items.length * width);
      for (const side of [0, 1] as const) {
        items.forEach((item, k) => {
          states.set(stateAt(trained, item, side), (side * items.length + k) * width);
        });
      }
      const { run } = await head.train(shape);
      return { feeds: { states: float32([2 * items.length, width], states) }, run };
    },
    scoreHeldOut: async () => {
      const [weight, bias] = [parameters.get('head.weight')!.data, parameters.get('head.bias')!.data[0]!];
      const scoreAt = (item: number, side: 0 | 1) =>
        stateAt(held, item, side).reduce((sum, x, i) => sum + x * weight[i]!, bias);
      const counted = heldOut.pairs.flatMap((_, item) => (Number.isNaN(stateAt(held, item, 0)[0]!) ? [] : [item]));
      return new Map(counted.map((item) => [item, [scoreAt(item, 0), scoreAt(item, 1)]]));
    },
  };
}
