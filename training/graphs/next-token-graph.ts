/**
 * What a model says next, while it is being trained: the logits after the last token of each row.
 * There is no cache of keys and values, so an answer costs a whole pass for each token. That is
 * enough for a few short samples, and needs no second engine beside the training.
 *
 * Inputs: `ids [B, T]`, `last [B]` (the place of each row's last token) and the parameters. Output:
 * `logits [B, V]`.
 */
import { Graph } from '#gpu-backend/graph/graph.ts';
import { gatherPositions } from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type BaseWeights, floatWeights, type LoraExperts } from '#gpu-backend/model/decoder.ts';
import type { ExpertGraphOptions } from './dpo-graph.ts';
import { frozenWeights } from './frozen-weights.ts';
import { loraShapes, parameterInputs, trainedLora } from './lora.ts';
import { ANY_BATCH, modelHidden } from './training-inputs.ts';

/** An expert: the parameters are the LoRA's, on a frozen base. */
export function buildExpertNextToken(
  config: DecoderConfig,
  { base, rank, loraScale, targets }: ExpertGraphOptions,
): Uint8Array {
  const graph = new Graph('plimsoll-expert-next-token');
  const lora = trainedLora(parameterInputs(graph, loraShapes(config, rank, targets)), loraScale);
  return nextToken(graph, config, { weights: frozenWeights(graph, config, base), lora });
}

/** A base: the parameters are all weights, of `shapes`. */
export function buildBaseNextToken(
  config: DecoderConfig,
  { shapes }: { shapes: ReadonlyMap<string, readonly number[]> },
): Uint8Array {
  const graph = new Graph('plimsoll-base-next-token');
  const parameters = parameterInputs(graph, shapes);
  const weights = floatWeights((name) => parameters.get(name)!, config);
  return nextToken(graph, config, { weights, lora: null });
}

function nextToken(
  graph: Graph,
  config: DecoderConfig,
  { weights, lora }: { weights: BaseWeights; lora: LoraExperts | null },
): Uint8Array {
  const { rows, length } = ANY_BATCH;
  const ids = graph.input('ids', 'int64', [rows, length]);
  const last = graph.input('last', 'int64', [rows]);
  const hidden = modelHidden({ config, weights, lora, batch: { ids }, shape: ANY_BATCH });
  graph.output('logits', weights.head(gatherPositions(hidden, last)));
  return graph.toModel();
}
