/** The linear modules of the decoder's layers: what an adapter may change. */
import { type DecoderConfig, weightShapes } from './config.ts';

export type LinearModule = {
  /** Its name inside the layer, such as `mlp.down_proj`. */
  kind: string;
  layer: number;
  /** Its weight is `[outputs, inputs]`. */
  inputs: number;
  outputs: number;
};

/** The only kind of module that a layers router mixes. */
export const DOWN_PROJ = 'mlp.down_proj';

/** The full name of a layer's `down_proj`. */
export const downProj = (layer: number) => `model.layers.${layer}.${DOWN_PROJ}`;

/** Layer by layer, by full names such as `model.layers.0.self_attn.q_proj`. */
export function linearModules(config: DecoderConfig): Map<string, LinearModule> {
  const modules = new Map<string, LinearModule>();
  for (const [name, shape] of weightShapes(config)) {
    const [, module, layer, kind] = /^(model\.layers\.(\d+)\.(.+))\.weight$/.exec(name) ?? [];
    const [outputs, inputs] = shape;
    if (module === undefined || kind === undefined || outputs === undefined || inputs === undefined) continue;
    modules.set(module, { kind, layer: Number(layer), inputs, outputs });
  }
  return modules;
}
