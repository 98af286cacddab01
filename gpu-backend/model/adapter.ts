/**
 * A LoRA expert on disk, as PEFT (https://github.com/huggingface/peft) saves one:
 * `adapter_config.json` and `adapter_model.safetensors`. Here an expert changes only `down_proj`:
 * `out = W h + (lora_alpha / r) * B (A h)`.
 *
 * PEFT owns the format, so unknown keys are allowed. But a key that changes the mathematics is
 * refused, not ignored.
 */
import * as z from 'zod';
import type { LlamaConfig } from './config.ts';
import type { ExpertRole } from './manifest.ts';
import type { Tensor } from './tensor.ts';

const empty = z.union([z.null(), z.array(z.never()), z.record(z.string(), z.never())]).optional();

export const AdapterConfig = z.object({
  peft_type: z.literal('LORA'),
  r: z.int().min(1),
  lora_alpha: z.number().positive(),
  target_modules: z.tuple([z.literal('down_proj')]),
  bias: z.literal('none').optional(),
  use_rslora: z.literal(false).optional(),
  use_dora: z.literal(false).optional(),
  fan_in_fan_out: z.literal(false).optional(),
  modules_to_save: empty,
  rank_pattern: empty,
  alpha_pattern: empty,
  layers_to_transform: empty,
});
export type AdapterConfig = z.infer<typeof AdapterConfig>;

export type Expert = {
  name: string;
  role: ExpertRole;
  /** r, the rank of the change. */
  rank: number;
  /** lora_alpha. The change is scaled by alpha / rank. */
  alpha: number;
  /** One entry per decoder layer: `a` is [r, intermediate], `b` is [hidden, r]. */
  layers: { a: Tensor; b: Tensor }[];
};

function tensorName(layer: number, part: 'A' | 'B'): string {
  return `base_model.model.model.layers.${layer}.mlp.down_proj.lora_${part}.weight`;
}

export function adapterShapes(config: LlamaConfig, rank: number): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    shapes.set(tensorName(layer, 'A'), [rank, config.intermediate_size]);
    shapes.set(tensorName(layer, 'B'), [config.hidden_size, rank]);
  }
  return shapes;
}

/** The layers of an adapter, from tensors that have passed the check against `adapterShapes`. */
export function adapterLayers(tensors: Map<string, Tensor>, layerCount: number): Expert['layers'] {
  return Array.from({ length: layerCount }, (_, layer) => ({
    a: tensors.get(tensorName(layer, 'A'))!,
    b: tensors.get(tensorName(layer, 'B'))!,
  }));
}

export function adapterTensors(expert: Expert): Map<string, Tensor> {
  return new Map(
    expert.layers.flatMap(({ a, b }, layer) => [
      [tensorName(layer, 'A'), a] as const,
      [tensorName(layer, 'B'), b] as const,
    ]),
  );
}

export function adapterConfigJson(expert: Expert): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: '../..',
    inference_mode: true,
    r: expert.rank,
    lora_alpha: expert.alpha,
    lora_dropout: 0,
    target_modules: ['down_proj'],
    bias: 'none',
    fan_in_fan_out: false,
    modules_to_save: null,
  };
}
