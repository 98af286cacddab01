/**
 * What the training graphs share: batch inputs, fixed positions and the causal mask. Shapes are
 * static: B rows of length T.
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { mul, neg, reduceSum, tokenLogprobs } from '#gpu-backend/graph/ops.ts';
import { type DecoderConfig, slidingWindow } from '#gpu-backend/model/config.ts';
import {
  type BaseWeights,
  causalAttention,
  decoder,
  type Lora,
  type LoraExperts,
  type ModuleInput,
  plainSteps,
} from '#gpu-backend/model/decoder.ts';

export type BatchShape = { rows: number; length: number };

/** So low that its exponential is 0 in float32. It is not infinite, which could lead to NaN. */
const MASKED = -1e9;

/**
 * The inputs `ids` and `targets` are int64 `[B, T]`, and `loss_weights` is float `[B, T]`.
 * `tokenFeeds` fills them.
 */
export type TokenBatch = { ids: Value; targets: Value; weights: Value };

export function tokenBatch(graph: Graph, { rows, length }: BatchShape): TokenBatch {
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
  shape: BatchShape;
};

/** The log-probability of every target under the model, `[B, T]`. */
export function modelLogprobs(graph: Graph, input: ModelInput & { batch: TokenBatch }): Value {
  const { weights, batch } = input;
  return tokenLogprobs(weights.head(modelHidden(graph, input)), batch.targets);
}

/**
 * The last hidden states, normalised, `[B, T, d]`. Padding at the end needs no mask, because no
 * earlier token sees it.
 */
export function modelHidden(graph: Graph, { config, weights, lora, batch, shape }: ModelInput): Value {
  const { rows, length } = shape;
  if (length > config.max_position_embeddings) {
    throw new Error(`rows of ${length} tokens are longer than the context of ${config.max_position_embeddings}`);
  }
  const range = Array.from({ length: rows * length }, (_, i) => i % length);
  const positions = graph.constant('int64', [rows, length], range);
  const window = slidingWindow(config) ?? length;
  const triangle = Array.from({ length: length * length }, (_, i) => {
    const distance = Math.floor(i / length) - (i % length);
    return distance < 0 || distance >= window ? MASKED : 0;
  });
  const mask = graph.constant('float', [1, 1, 1, length, length], triangle);
  const attention = causalAttention(config, mask);
  return decoder({ config, weights, ids: batch.ids, steps: plainSteps(config, positions), attention, lora });
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

/** LoRA on `down_proj` alone, as MidPO trains it. */
export function onDownProj(lora: (at: ModuleInput) => Lora): LoraExperts {
  return (at) => (at.module === 'mlp.down_proj' ? lora(at) : null);
}

/** LoRA shapes by layer, `[in, out]`: `a [F, r]`, `b [r, d]`. */
export function loraShapes(config: DecoderConfig, rank: number): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    shapes.set(`lora.${layer}.a`, [config.intermediate_size, rank]);
    shapes.set(`lora.${layer}.b`, [rank, config.hidden_size]);
  }
  return shapes;
}
