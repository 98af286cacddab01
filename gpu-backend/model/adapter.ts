/**
 * A LoRA expert on disk, as PEFT (https://github.com/huggingface/peft) saves one:
 * `adapter_config.json` and `adapter_model.safetensors`. Here an expert changes only `down_proj`:
 * `out = W h + scale * B (A h)`, where scale is `lora_alpha / r`, or `lora_alpha / sqrt(r)` with
 * `use_rslora`.
 */
import { downProj, type LayerLora } from './adapter-layout.ts';
import type { DecoderConfig } from './config.ts';
import type { ExpertRole } from './manifest.ts';
import type { Tensor } from './tensor.ts';

export type Expert = {
  name: string;
  role: ExpertRole;
  /** r and lora_alpha of its config. Single layers may have others. */
  rank: number;
  alpha: number;
  /** What its config says it was trained on, if that is not the base of its own bundle. */
  trainedOn?: string;
  /** One entry per decoder layer. */
  layers: ExpertLayer[];
};

/** `a` is [r, intermediate] and `b` is [hidden, r], with r = 0 in a layer that is left alone. */
export type ExpertLayer = { a: Tensor; b: Tensor; scale: number };

export const layerRank = ({ a }: ExpertLayer) => a.shape[0]!;

const tensorName = (layer: number, part: 'A' | 'B') => `base_model.model.${downProj(layer)}.lora_${part}.weight`;

export function adapterShapes(config: DecoderConfig, layout: readonly LayerLora[]): Map<string, number[]> {
  return new Map(
    layout.flatMap(({ rank }, layer): [string, number[]][] =>
      rank === 0
        ? []
        : [
            [tensorName(layer, 'A'), [rank, config.intermediate_size]],
            [tensorName(layer, 'B'), [config.hidden_size, rank]],
          ],
    ),
  );
}

/** The layers of an adapter, from tensors that have passed the check against `adapterShapes`. */
export function adapterLayers(
  tensors: Map<string, Tensor>,
  { hidden_size: d, intermediate_size: F }: DecoderConfig,
  layout: readonly LayerLora[],
): ExpertLayer[] {
  return layout.map(({ scale }, layer) => ({
    a: tensors.get(tensorName(layer, 'A')) ?? { shape: [0, F], data: new Float32Array() },
    b: tensors.get(tensorName(layer, 'B')) ?? { shape: [d, 0], data: new Float32Array() },
    scale,
  }));
}

export function adapterTensors({ layers }: Expert): Map<string, Tensor> {
  return new Map(
    layers.flatMap((one, layer) =>
      layerRank(one) === 0 ? [] : [[tensorName(layer, 'A'), one.a] as const, [tensorName(layer, 'B'), one.b] as const],
    ),
  );
}

/** Layers with another rank or scale than the expert's get a pattern of their own. */
export function adapterConfigJson({ rank, alpha, trainedOn, layers }: Expert): Record<string, unknown> {
  const changed = layers.flatMap((one, layer) => (layerRank(one) === 0 ? [] : [layer]));
  const ranks = changed.filter((layer) => layerRank(layers[layer]!) !== rank);
  const alphas = changed.filter((layer) => layers[layer]!.scale !== alpha / layerRank(layers[layer]!));
  const patterns = (of: readonly number[], value: (layer: ExpertLayer) => number) =>
    Object.fromEntries(of.map((layer) => [downProj(layer), value(layers[layer]!)]));
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: trainedOn ?? OWN_BASE,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: ['down_proj'],
    bias: 'none',
    fan_in_fan_out: false,
    modules_to_save: null,
    ...(ranks.length > 0 && { rank_pattern: patterns(ranks, layerRank) }),
    ...(alphas.length > 0 && { alpha_pattern: patterns(alphas, (layer) => layer.scale * layerRank(layer)) }),
    ...(changed.length < layers.length && { layers_to_transform: changed }),
  };
}

/** The base, seen from an expert's folder. */
export const OWN_BASE = '../..';
