/**
 * What a model says next, while it is being trained: the logits after the last token of each row.
 * There is no cache of keys and values, so an answer costs a whole pass for each token. That is
 * enough for a few short samples, and needs no second engine beside the training.
 *
 * Inputs: `ids [B, T]`, `last [B]` (the place of each row's last token) and the parameters. Output:
 * `logits [B, V]`.
 */
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import { gatherPositions, reshape, scale, unsqueeze } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type BaseWeights, floatWeights, type LoraExperts } from '#gpu-backend/model/decoder.ts';
import type { ExpertGraphOptions } from './dpo-graph.ts';
import { frozenWeights } from './frozen-weights.ts';
import { type BatchShape, loraShapes, modelHidden, onDownProj } from './training-inputs.ts';

/** An expert: the parameters are the LoRA's, on a frozen base. */
export function buildExpertNextToken(
  config: DecoderConfig,
  { base, rank, loraScale, batch }: ExpertGraphOptions,
): Uint8Array {
  const graph = new Graph('plimsoll-expert-next-token');
  const parameters = new Map<string, Value>();
  for (const [name, dims] of loraShapes(config, rank)) parameters.set(name, graph.input(name, 'float', dims));
  const lora = onDownProj(({ layer }) => ({
    a: parameters.get(`lora.${layer}.a`)!,
    b: scale(parameters.get(`lora.${layer}.b`)!, loraScale),
    gates: null,
  }));
  return nextToken(graph, config, { weights: frozenWeights(graph, config, base), lora, batch });
}

/** A base: the parameters are all weights, of `shapes`. */
export function buildBaseNextToken(
  config: DecoderConfig,
  { shapes, batch }: { shapes: ReadonlyMap<string, readonly number[]>; batch: BatchShape },
): Uint8Array {
  const graph = new Graph('plimsoll-base-next-token');
  const parameters = new Map<string, Value>();
  for (const [name, dims] of shapes) parameters.set(name, graph.input(name, 'float', dims));
  const weights = floatWeights((name) => parameters.get(name)!, config);
  return nextToken(graph, config, { weights, lora: null, batch });
}

function nextToken(
  graph: Graph,
  config: DecoderConfig,
  { weights, lora, batch: shape }: { weights: BaseWeights; lora: LoraExperts | null; batch: BatchShape },
): Uint8Array {
  const { rows, length } = shape;
  const ids = graph.input('ids', 'int64', [rows, length]);
  const last = graph.input('last', 'int64', [rows]);
  const hidden = modelHidden(graph, { config, weights, lora, batch: { ids }, shape });
  const states = unsqueeze(gatherPositions(hidden, last), 1); // [B, 1, d]
  graph.output('logits', reshape(weights.head(states), [rows, config.vocab_size]));
  return graph.toModel();
}
