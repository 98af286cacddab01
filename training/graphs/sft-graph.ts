/** Supervised training of the whole model: weights in, loss and gradients out. */
import { Graph } from '#gpu-backend/graph/graph.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { floatWeights } from '#gpu-backend/model/decoder.ts';
import { gradientOutputs } from './gradient-outputs.ts';
import { parameterInputs } from './lora.ts';
import { ANY_BATCH, type GraphBatch, modelLogprobs, tokenBatch, weightedNegativeLogprob } from './training-inputs.ts';

/**
 * Inputs: every weight of `shapes` by name, and the token batch. Outputs: `loss`, the weighted
 * cross-entropy of the next token in nats per token, and `grad.<name>` for each weight.
 */
export function buildSftGraph(config: DecoderConfig, options: SftGraphOptions): Uint8Array {
  return sftGraph(config, options).toModel();
}

export type SftGraphOptions = {
  shapes: ReadonlyMap<string, readonly number[]>;
  batch?: GraphBatch;
  withGradients?: boolean;
};

/** Builds the graph without encoding it, for callers that count its arithmetic. */
export function sftGraph(
  config: DecoderConfig,
  { shapes, batch: shape = ANY_BATCH, withGradients = true }: SftGraphOptions,
): Graph {
  const graph = new Graph('plimsoll-sft');
  const batch = tokenBatch(graph, shape);
  const parameters = parameterInputs(graph, shapes);
  const weights = floatWeights((name) => parameters.get(name)!, config);
  const loss = weightedNegativeLogprob(modelLogprobs({ config, weights, lora: null, batch, shape }), batch);
  graph.output('loss', loss);
  if (withGradients) gradientOutputs(graph, loss, { parameters });
  return graph;
}
