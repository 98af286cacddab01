/**
 * What the training graphs share: batch inputs, positions, the causal mask, and log-probabilities
 * at the places that count. A graph is built for any number of rows and any length (`ANY_BATCH`),
 * so one session trains on every batch. Built for fixed sizes, it can be counted.
 */
import type { Graph, Shape, Value } from '#gpu-backend/graph/graph.ts';
import type { Dim } from '#gpu-backend/graph/onnx-format.ts';
import {
  add,
  cast,
  expand,
  gatherPlaces,
  min,
  mul,
  neg,
  nonZero,
  range,
  reduceSum,
  scalar,
  scale,
  scatterPlaces,
  sub,
  tokenLogprobs,
  unsqueeze,
} from '#gpu-backend/graph/ops.ts';
import { type DecoderConfig, slidingWindow } from '#gpu-backend/model/config.ts';
import {
  type BaseWeights,
  causalAttention,
  decoder,
  type LoraExperts,
  plainSteps,
} from '#gpu-backend/model/decoder.ts';

/** B rows of T tokens. */
export type BatchShape = { rows: number; length: number };

/** A batch as a graph knows it. `answers` is how many places have a weight other than 0. */
export type GraphBatch = { rows: Dim; length: Dim; answers: Dim };

/** A graph of this batch takes every batch. */
export const ANY_BATCH: GraphBatch = { rows: 'rows', length: 'length', answers: 'answers' };

/**
 * What a future token adds to a score. Its exponential is 0 in float32. Infinity could give NaN.
 */
const MASKED = 1e9;

/**
 * The inputs `ids` and `targets` are int64 `[B, T]`, and `loss_weights` is float `[B, T]`.
 * `tokenFeeds` fills them.
 */
export type TokenBatch = { ids: Value; targets: Value; weights: Value };

export function tokenBatch(graph: Graph, { rows, length }: GraphBatch): TokenBatch {
  return {
    ids: graph.input('ids', 'int64', [rows, length]),
    targets: graph.input('targets', 'int64', [rows, length]),
    weights: graph.input('loss_weights', 'float', [rows, length]),
  };
}

export type ModelInput = {
  config: DecoderConfig;
  weights: BaseWeights;
  lora: LoraExperts | null;
  batch: Pick<TokenBatch, 'ids'>;
  shape: GraphBatch;
};

/**
 * The log-probability of each target under the model, `[B, T]`, and 0 where its weight is 0: those
 * places never reach the head. Prompts are about half of a batch's tokens, and a head over a large
 * vocabulary is a quarter of a small model's work.
 */
export function modelLogprobs(input: ModelInput & { batch: TokenBatch }): Value {
  const { weights, shape } = input;
  const answers = answerPlaces(input.batch, shape);
  const hidden = answers.take(modelHidden(input)); // [answers, d]
  return answers.put(tokenLogprobs(weights.head(hidden), answers.targets));
}

/** The places of a batch that count: they have a weight other than 0. */
export function answerPlaces({ targets, weights }: TokenBatch, { rows, length, answers }: GraphBatch) {
  const places = weights.graph.withoutTape(() => nonZero(weights, answers)); // [answers, 2]
  return {
    /** `[B, T, ...]` to `[answers, ...]` */
    take: (x: Value) => gatherPlaces(x, places),
    /** `[answers]` to `[B, T]`, with 0 elsewhere. */
    put: (values: Value) => scatterPlaces(values, places, [rows, length]),
    /** `[answers]` */
    targets: weights.graph.withoutTape(() => gatherPlaces(targets, places)),
  };
}

/**
 * The last hidden states, normalised, `[B, T, d]`. Padding at the end needs no mask, because no
 * earlier token sees it.
 */
export function modelHidden({ config, weights, lora, batch, shape }: ModelInput): Value {
  const { ids } = batch;
  const positions = positionsOf(ids, [shape.rows, shape.length]);
  const attention = causalAttention(config, causalMask(ids, config, shape.length));
  return decoder({ config, weights, ids, steps: plainSteps(config, positions), attention, lora });
}

/** `0, 1, ..., T - 1` in every row, `[B, T]`. */
function positionsOf(ids: Value, shape: Shape): Value {
  return ids.graph.withoutTape(() => expand(range(ids, shape[1]!), shape));
}

/** `[1, 1, 1, T, T]`: 0 where a token sees another one, and at most -MASKED where it does not. */
function causalMask(ids: Value, config: DecoderConfig, length: Dim): Value {
  return ids.graph.withoutTape(() => {
    const places = cast(range(ids, length), 'float');
    const distance = sub(unsqueeze(places, 1), unsqueeze(places, 0)); // [T, T]
    const below = (x: Value) => scale(min(x, scalar(x, 0)), MASKED);
    const window = slidingWindow(config);
    const future = below(distance);
    const mask = window === null ? future : add(future, below(sub(scalar(distance, window - 1), distance)));
    return unsqueeze(unsqueeze(unsqueeze(mask, 0), 0), 0);
  });
}

/**
 * Each row's sum of weighted log-probabilities, `[B]`. With weights 0 and 1 that is
 * log p(answer | prompt).
 */
export function sequenceLogprobs(logprobs: Value, batch: TokenBatch): Value {
  return reduceSum(mul(logprobs, batch.weights), [1]);
}

/** Minus the weighted sum of log-probabilities, as one number. The weights of a batch sum to 1. */
export function weightedNegativeLogprob(logprobs: Value, batch: TokenBatch): Value {
  return neg(reduceSum(mul(logprobs, batch.weights), [0, 1]));
}
