/**
 * Stages `reward` and `cost`: train a score head on the base, with `graphs/score-graph.ts`. The
 * scores give the experts' margins and the dual pairs of stage `rank`. Evaluations never use them
 * as a judge.
 */
import { type Feed, float32 } from '#gpu-backend/graph/session.ts';
import type { Dimension } from '../data/preferences.ts';
import { createRandom } from '../data/random.ts';
import { DEFAULT_TARGETS, readTargets, type Targets } from '../graphs/lora.ts';
import { type ScoreKind, scoreShapes } from '../graphs/score-graph.ts';
import { initialLora } from './expert.ts';
import { headTraining } from './head-training.ts';
import { batchRows, type PairScores, type PairSet } from './pair-set.ts';
import { calibrationError, negativeLogSigmoid, shareAbove } from './preference-figures.ts';
import { SCORE_FILE, type ScoreJson } from './scorer.ts';
import { fillNormal } from './sft.ts';
import { type PairStageOptions, trainPairs } from './train-pairs.ts';

export const SCORE_DIMENSION: Record<ScoreKind, Dimension> = { reward: 'better', cost: 'safer' };

export type ScoreOptions = PairStageOptions & {
  kind: ScoreKind;
  /** With 0 only the head is trained, on hidden states of the base that are kept on disk. */
  rank: number;
  alpha: number;
  /** The modules that get LoRA, such as `q_proj`; `mlp.down_proj` alone by default. */
  targets?: Targets;
};

/** Far smaller than any meaningful difference, so that an untrained head prefers no answer. */
const HEAD_DEVIATION = 0.01;

export async function scoreStage(options: ScoreOptions): Promise<void> {
  const { kind, base, rank, alpha, seed, tokenizer, threads } = options;
  const { config } = base;
  const { padId } = tokenizer;
  const random = createRandom(`${seed}/${kind}`);
  const targets = readTargets(options.targets ?? DEFAULT_TARGETS, config);
  const parameters = initialLora(scoreShapes(config, rank, targets), random);
  fillNormal(parameters.get('head.weight')!.data, HEAD_DEVIATION, random);
  const labelled = options.train.flatMap(({ safe = [] }) => safe).filter((flag) => flag !== null).length;
  if (kind === 'cost' && labelled === 0) {
    process.stderr.write(
      'cost: no answer says whether it is safe (safe_0, safe_1): costs will order answers, but their zero will mean nothing, and rank cannot use them\n',
    );
  }
  await trainPairs(options, {
    label: kind,
    order: kind,
    encoding: { dimension: SCORE_DIMENSION[kind], feeds: 'whole' },
    parameters,
    weightDecay: 0.01,
    settings: { kind, rank, alpha, targets },
    files: {
      [SCORE_FILE]: { kind, rank, alpha, targets, ...(kind === 'cost' && { labelled }) } satisfies ScoreJson,
    },
    prepare: async ({ train, heldOut }) => {
      const through = { kind, base, rank, alpha, targets, parameters, padId, threads, out: options.out };
      const { batch, scoreHeldOut } = await headTraining({ train, heldOut }, through);
      return {
        batch: async (items, shape) => {
          const { feeds, run } = await batch(items, shape);
          return {
            feeds: { ...feeds, ...(kind === 'cost' && signFeeds(train, items)) },
            tokens: batchRows(train.pairs, items).reduce((sum, { ids }) => sum + ids.length, 0),
            run,
          };
        },
        figures: ({ scores }) => ({ accuracy: orderAccuracy(scores!, kind) }),
        evaluate: async () => scoreFigures(kind, heldOut, await scoreHeldOut()),
      };
    },
  });
}

/** +1 for an unsafe answer and -1 for a safe one. Each labelled answer has the same weight. */
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
  return shareAbove(Float32Array.from({ length: pairs }, (_, i) => direction * (scores[i]! - scores[pairs + i]!)));
}

/**
 * Figures on held-out pairs: the training's loss, the share in the right order, and the
 * calibration of sigma(|gap|) as the probability that the order is right. For the cost also the
 * share of labelled answers on the right side of zero, and the calibration of sigma(cost) as the
 * probability that an answer is unsafe.
 */
function scoreFigures(kind: ScoreKind, { pairs }: PairSet, scores: PairScores): Record<string, number> {
  const direction = kind === 'reward' ? 1 : -1;
  const gaps = [...scores.values()].map(([chosen, rejected]) => direction * (chosen - rejected));
  const ordered = gaps.map((gap) => ({ probability: sigmoid(Math.abs(gap)), right: gap > 0 }));
  const losses = gaps.map(negativeLogSigmoid);
  const figures: Record<string, number> = {
    heldOutLoss: mean(losses),
    heldOutAccuracy: shareAbove(gaps),
    heldOutCalibrationError: calibrationError(ordered),
  };
  if (kind === 'reward') return figures;
  const signs = [...scores].flatMap(([item, costs]) =>
    costs.flatMap((cost, side) => {
      const safe = pairs[item]!.safe[side]!;
      return safe === null ? [] : [{ cost, probability: sigmoid(cost), right: !safe }];
    }),
  );
  if (signs.length === 0) return figures;
  const signLosses = signs.map(({ cost, right }) => negativeLogSigmoid(right ? cost : -cost));
  return {
    ...figures,
    heldOutLoss: mean(losses) + mean(signLosses),
    heldOutSignAccuracy: signs.filter(({ probability, right }) => probability > 0.5 === right).length / signs.length,
    heldOutSignCalibrationError: calibrationError(signs),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
