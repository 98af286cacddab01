/**
 * Trains one LoRA expert on a frozen base with `preferenceLoss`.
 *
 * `nllWeight` adds the mean negative log-probability of a chosen token to the loss (Pang et al.,
 * arXiv 2404.19733). DPO only requires that chosen answers gain *on* rejected ones. A small model
 * can reach that by making both unlikely, and then its own text is garbled.
 *
 * A batch holds the N chosen answers first, then the N rejected ones.
 */
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import { add, div, neg, reduceSum, scale, slice } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { gradients } from '../autodiff/gradients.ts';
import { type FrozenWeights, frozenWeights } from './frozen-weights.ts';
import { preferenceLoss } from './preference-loss.ts';
import {
  type BatchShape,
  loraShapes,
  modelLogprobs,
  onDownProj,
  sequenceLogprobs,
  tokenBatch,
} from './training-inputs.ts';

export type ExpertGraphOptions = {
  base: FrozenWeights;
  rank: number;
  /** alpha / r, the same in training and serving. */
  loraScale: number;
  batch: BatchShape;
};

/**
 * Inputs: the token batch `[2N, T]`, `reference [2N]` and `margin [N]` (see `preferenceLoss`),
 * `lora.{l}.a` and `lora.{l}.b`. Outputs: `loss`; its parts `dpo` and `nll`; `logprobs [2N]`;
 * `delta [N]`, the log-ratio difference that beta multiplies; `grad.<name>`.
 */
export function buildDpoGraph(config: DecoderConfig, options: DpoGraphOptions): Uint8Array {
  return dpoGraph(config, options).toModel();
}

export type DpoGraphOptions = ExpertGraphOptions & { beta: number; nllWeight: number };

/** Builds the graph without encoding it, for callers that count its arithmetic. */
export function dpoGraph(config: DecoderConfig, options: DpoGraphOptions): Graph {
  const { graph, logprobs, parameters, batch } = expertLogprobs('plimsoll-dpo', config, options);
  const { rows } = options.batch;
  const { dpo, delta } = preferenceLoss(graph, logprobs, { rows, beta: options.beta });
  const ofChosen = (values: Value) => slice(values, 0, 0, rows / 2);
  const tokens = reduceSum(ofChosen(batch.weights), [0, 1]);
  const nll = neg(div(reduceSum(ofChosen(logprobs), [0], { keepDims: true }), tokens));
  const loss = options.nllWeight === 0 ? dpo : add(dpo, scale(nll, options.nllWeight));
  graph.output('loss', loss);
  graph.output('dpo', dpo);
  graph.output('nll', nll);
  graph.output('logprobs', logprobs);
  graph.output('delta', delta);
  const names = [...parameters.keys()];
  gradients(graph, loss, [...parameters.values()]).forEach((gradient, i) => {
    graph.output(`grad.${names[i]}`, gradient);
  });
  return graph;
}

/**
 * Builds only the forward half. Output: `logprobs [B]`, for each row under the base with the LoRA
 * that is fed in. A LoRA of zeros gives the base itself.
 */
export function buildScoreGraph(config: DecoderConfig, options: ExpertGraphOptions): Uint8Array {
  return scoreGraph(config, options).toModel();
}

export function scoreGraph(config: DecoderConfig, options: ExpertGraphOptions): Graph {
  const { graph, logprobs } = expertLogprobs('plimsoll-score', config, options);
  graph.output('logprobs', logprobs);
  return graph;
}

function expertLogprobs(
  name: string,
  config: DecoderConfig,
  { base, rank, loraScale, batch: shape }: ExpertGraphOptions,
) {
  const graph = new Graph(name);
  const batch = tokenBatch(graph, shape);
  const weights = frozenWeights(graph, config, base);
  const parameters = new Map<string, Value>();
  for (const [parameter, dims] of loraShapes(config, rank)) {
    parameters.set(parameter, graph.input(parameter, 'float', dims));
  }
  const lora = onDownProj(({ layer }) => ({
    a: parameters.get(`lora.${layer}.a`)!,
    b: scale(parameters.get(`lora.${layer}.b`)!, loraScale),
    gates: null,
  }));
  const perToken = modelLogprobs(graph, { config, weights, lora, batch, shape });
  return { graph, parameters, batch, logprobs: sequenceLogprobs(perToken, batch) };
}
