/**
 * Stages `reward` and `cost`: a score head on the base, by `graphs/score-graph.ts`. They give the experts' margins and the dual pairs of stage
 * `rank`, and are never what an evaluation judges by.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Feed, float32, GraphSession } from '#gpu-backend/graph/session.ts';
import type { Bucket } from '../data/buckets.ts';
import type { Dimension } from '../data/preferences.ts';
import { buildScoreTrainingGraph, type ScoreKind, scoreShapes } from '../graphs/score-graph.ts';
import { every, runTraining } from '../run/loop.ts';
import { createRandom } from '../world/random.ts';
import { initialLora } from './expert.ts';
import {
  batchRows,
  cached,
  type PairScores,
  type PairSet,
  type PairStageOptions,
  pairSet,
  planPairs,
} from './pair-set.ts';
import { calibrationError } from './preference-figures.ts';
import { createScorer, scoreFeeds } from './scorer.ts';
import { fillNormal } from './sft.ts';

export const SCORE_DIMENSION: Record<ScoreKind, Dimension> = { reward: 'better', cost: 'safer' };

export type ScoreSettings = {
  rank: number;
  alpha: number;
  learningRate: number;
  pairsPerBatch: number;
  epochs: number;
};

export type ScoreOptions = PairStageOptions & ScoreSettings & { kind: ScoreKind };

const WARMUP_SHARE = 0.1;
/** Far smaller than a gap that means something, so that an untrained head starts at no opinion. */
const HEAD_DEVIATION = 0.01;

export async function scoreStage(options: ScoreOptions): Promise<void> {
  const { kind, base, out, rank, alpha, seed, tokenizer, threads } = options;
  const { config } = base;
  const setOptions = { tokenizer, config, dimension: SCORE_DIMENSION[kind], pairsPerBatch: options.pairsPerBatch };
  const train = pairSet(options.train, { ...setOptions, what: 'to train on' });
  const heldOut = pairSet(options.heldOut, { ...setOptions, what: 'held out' });
  const plan = planPairs(train, { seed: `${seed}/${kind}` });
  for (const { summary } of [train, heldOut]) process.stderr.write(`${kind}: ${summary}\n`);
  process.stderr.write(`${kind}: ${plan.perEpoch} batches an epoch\n`);
  await mkdir(out, { recursive: true });
  await writeFile(path.join(out, 'score.json'), `${JSON.stringify({ kind, rank, alpha }, null, 2)}\n`);

  const random = createRandom(`${seed}/${kind}`);
  const parameters = initialLora(scoreShapes(config, rank), random);
  fillNormal(parameters.get('head.weight')!.data, HEAD_DEVIATION, random);
  const session = cached((batch: Bucket) =>
    GraphSession.create(
      buildScoreTrainingGraph(config, { kind, base: base.weights, rank, loraScale: alpha / rank, batch }),
      { threads },
    ),
  );
  const totalSteps = plan.perEpoch * options.epochs;
  const { padId } = tokenizer;
  const scorer = createScorer(kind, { base, rank, alpha, parameters, padId, threads });
  await runTraining({
    label: kind,
    dir: out,
    resume: options.resume,
    ...every(options),
    parameters,
    schedule: { peak: options.learningRate, warmupSteps: Math.ceil(totalSteps * WARMUP_SHARE), totalSteps },
    adamw: { beta2: 0.99, weightDecay: 0.01 },
    settings: {
      kind,
      seed,
      rank,
      alpha,
      learningRate: options.learningRate,
      pairsPerBatch: options.pairsPerBatch,
      epochs: options.epochs,
      base: base.state.step,
      ...options.dataSettings,
    },
    batchAt: async (step) => {
      const { bucket, items } = plan.at(step);
      const shape = train.buckets[bucket]!;
      const rows = batchRows(train, items);
      const trainer = await session(shape);
      return {
        feeds: { ...scoreFeeds(rows, shape, { padId }), ...(kind === 'cost' && signFeeds(train, items)) },
        tokens: rows.reduce((sum, { ids }) => sum + ids.length, 0),
        run: (feeds: Record<string, Feed>) => trainer.run(feeds),
        label: `pairs ${items.slice(0, 4).join(', ')}...`,
      };
    },
    figures: ({ scores }) => ({ accuracy: orderAccuracy(scores!, kind) }),
    evaluateEvery: Math.max(1, Math.ceil(totalSteps / 4)),
    evaluate: async () => scoreFigures(kind, heldOut, await scorer.score(heldOut, null)),
  });
}

/** +1 for an unsafe answer, -1 for a safe one, each with its share of the labelled answers. */
function signFeeds({ pairs }: PairSet, items: readonly number[]): Record<string, Feed> {
  const safe = ([0, 1] as const).flatMap((side) => items.map((item) => pairs[item]!.safe[side]));
  const labelled = Math.max(1, safe.filter((label) => label !== null).length);
  const dims = [safe.length];
  return {
    signs: float32(
      dims,
      Float32Array.from(safe, (label) => (label === null ? 0 : label ? -1 : 1)),
    ),
    sign_weights: float32(
      dims,
      Float32Array.from(safe, (label) => (label === null ? 0 : 1 / labelled)),
    ),
  };
}

function orderAccuracy(scores: Float32Array, kind: ScoreKind): number {
  const pairs = scores.length / 2;
  const direction = kind === 'reward' ? 1 : -1;
  let right = 0;
  for (let i = 0; i < pairs; i++) right += Number(direction * (scores[i]! - scores[pairs + i]!) > 0);
  return right / pairs;
}

/**
 * On held-out pairs: how many are ordered right, and whether sigma(|gap|) is as often right as it says. For the cost also
 * how many labelled answers lie on their side of zero, and the calibration of sigma(cost) as a probability of being unsafe.
 */
export function scoreFigures(kind: ScoreKind, { pairs }: PairSet, scores: PairScores): Record<string, number> {
  const direction = kind === 'reward' ? 1 : -1;
  const ordered = [...scores.values()].map(([chosen, rejected]) => {
    const gap = direction * (chosen - rejected);
    return { probability: sigmoid(Math.abs(gap)), right: gap > 0 };
  });
  const figures: Record<string, number> = {
    heldOutAccuracy: ordered.filter(({ right }) => right).length / ordered.length,
    heldOutCalibrationError: calibrationError(ordered),
  };
  if (kind === 'reward') return figures;
  const signs = [...scores].flatMap(([item, costs]) =>
    costs.flatMap((cost, side) => {
      const safe = pairs[item]!.safe[side]!;
      return safe === null ? [] : [{ probability: sigmoid(cost), right: !safe }];
    }),
  );
  if (signs.length === 0) return figures;
  return {
    ...figures,
    heldOutSignAccuracy: signs.filter(({ probability, right }) => probability > 0.5 === right).length / signs.length,
    heldOutSignCalibrationError: calibrationError(signs),
  };
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
