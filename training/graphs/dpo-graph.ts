/**
 * Trains one LoRA expert on a frozen base with `preferenceLoss`.
 *
 * `nllWeight` adds the mean negative log-probability of a chosen token to the loss (Pang et al.,
 * arXiv 2404.19733). DPO only requires that chosen answers gain *on* rejected ones. A small model
 * can reach that by making both unlikely, and then its own text is garbled.
 *
 * A batch holds the N chosen answers first, then the N rejected ones.
 */
import { Graph } from '#gpu-backend/graph/graph.ts';
import { add, div, neg, reduceSum, scale } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type FrozenBase, frozenWeights } from './frozen-weights.ts';
import { type GradientOptions, gradientOutputs } from './gradient-outputs.ts';
import { loraShapes, parameterInputs, type Targets, trainedLora } from './lora.ts';
import { ofChosen, preferenceLoss } from './preference-loss.ts';
import { ANY_BATCH, type GraphBatch, modelLogprobs, sequenceLogprobs, tokenBatch } from './training-inputs.ts';

export type ExpertGraphOptions = {
  base: FrozenBase;
  rank: number;
  /** alpha / r, the same in training and serving. */
  loraScale: number;
  /** The modules with LoRA; `mlp.down_proj` by default. */
  targets?: Targets;
  batch?: GraphBatch;
};

/**
 * Inputs: the token batch `[2N, T]`, `reference [2N]` and `margin [N]` (see `preferenceLoss`),
 * the LoRA (`loraShapes`). Outputs: `loss`; its parts `dpo` and `nll`; `logprobs [2N]`;
 * `delta [N]`, the log-ratio difference that beta multiplies; `grad.<name>`.
 */
export function buildDpoGraph(config: DecoderConfig, options: DpoGraphOptions): Uint8Array {
  return dpoGraph(config, options).toModel();
}

export type DpoGraphOptions = ExpertGraphOptions & GradientOptions & { beta: number; nllWeight: number };

/** Builds the graph without encoding it, for callers that count its arithmetic. */
export function dpoGraph(config: DecoderConfig, options: DpoGraphOptions): Graph {
  const { graph, logprobs, parameters, batch } = expertLogprobs('plimsoll-dpo', config, options);
  const { dpo, delta } = preferenceLoss(graph, logprobs, { ...ANY_BATCH, ...options.batch, beta: options.beta });
  const nll = neg(div(ofChosen(logprobs), ofChosen(reduceSum(batch.weights, [1]))));
  const loss = options.nllWeight === 0 ? dpo : add(dpo, scale(nll, options.nllWeight));
  graph.output('loss', loss);
  graph.output('dpo', dpo);
  graph.output('nll', nll);
  graph.output('logprobs', logprobs);
  graph.output('delta', delta);
  gradientOutputs(graph, loss, { ...options, parameters });
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
  { base, rank, loraScale, targets, batch: shape = ANY_BATCH }: ExpertGraphOptions,
) {
  const graph = new Graph(name);
  const batch = tokenBatch(graph, shape);
  const weights = frozenWeights(graph, config, base);
  const parameters = parameterInputs(graph, loraShapes(config, rank, targets));
  const lora = trainedLora(parameters, loraScale);
  const perToken = modelLogprobs({ config, weights, lora, batch, shape });
  return { graph, parameters, batch, logprobs: sequenceLogprobs(perToken, batch) };
}
