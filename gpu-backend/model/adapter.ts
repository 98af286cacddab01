/**
 * A LoRA expert on disk, as PEFT (https://github.com/huggingface/peft) saves one:
 * `adapter_config.json` and `adapter_model.safetensors`. It changes some linear modules of the
 * decoder: `out = W x + scale * B (A x)`, where scale is `lora_alpha / r`, or `lora_alpha /
 * sqrt(r)` with `use_rslora`.
 */
import type { AdapterLayout } from './adapter-layout.ts';
import type { DecoderConfig } from './config.ts';
import { type LinearModule, linearModules } from './linear-modules.ts';
import type { ExpertRole } from './manifest.ts';
import type { Tensor } from './tensor.ts';

export type Expert = {
  name: string;
  role: ExpertRole;
  /** r and lora_alpha of its config. Single modules may have others. */
  rank: number;
  alpha: number;
  /** What its config says it was trained on, if that is not the base of its own bundle. */
  trainedOn?: string;
  /**
   * The modules that it changes, by full names such as `model.layers.0.self_attn.q_proj`, in the
   * decoder's order. If there are none, the expert is the base alone.
   */
  modules: ReadonlyMap<string, ExpertModule>;
  /** The system prompt that it reads before the client's messages, if it has one. */
  prompt?: string;
};

/** `a` is [r, in] and `b` is [out, r]. */
export type ExpertModule = { a: Tensor; b: Tensor; scale: number };

export const moduleRank = ({ a }: ExpertModule) => a.shape[0]!;

/** Whether there is anything to save. An expert may also be the base alone or under a prompt. */
export const hasAdapter = ({ modules }: Pick<Expert, 'modules'>) => modules.size > 0;

/** What an expert without an adapter has instead. */
export const NO_ADAPTER: Pick<Expert, 'rank' | 'alpha' | 'modules'> = { rank: 0, alpha: 0, modules: new Map() };

const tensorName = (module: string, part: 'A' | 'B') => `base_model.model.${module}.lora_${part}.weight`;

/** The tensors that an adapter of this layout has, by name. */
export function adapterShapes(config: DecoderConfig, layout: AdapterLayout): Map<string, number[]> {
  const modules = linearModules(config);
  return new Map(
    [...layout].flatMap(([module, { rank }]): [string, number[]][] => {
      const { inputs, outputs } = modules.get(module)!;
      return [
        [tensorName(module, 'A'), [rank, inputs]],
        [tensorName(module, 'B'), [outputs, rank]],
      ];
    }),
  );
}

/** The modules of an adapter, from tensors that have passed the check against `adapterShapes`. */
export function adapterModules(tensors: ReadonlyMap<string, Tensor>, layout: AdapterLayout): Expert['modules'] {
  return new Map(
    [...layout].map(([module, { scale }]) => [
      module,
      { a: tensors.get(tensorName(module, 'A'))!, b: tensors.get(tensorName(module, 'B'))!, scale },
    ]),
  );
}

export function adapterTensors({ modules }: Pick<Expert, 'modules'>): Map<string, Tensor> {
  return new Map(
    [...modules].flatMap(([module, { a, b }]) => [
      [tensorName(module, 'A'), a] as const,
      [tensorName(module, 'B'), b] as const,
    ]),
  );
}

/**
 * `adapter_config.json` of an expert with at least one module. Modules with another rank or scale
 * than the expert's get a pattern of their own.
 */
export function adapterConfigJson(
  { rank, alpha, trainedOn, modules }: Pick<Expert, 'rank' | 'alpha' | 'modules' | 'trainedOn'>,
  config: DecoderConfig,
): Record<string, unknown> {
  const changed = [...modules];
  const ranks = changed.filter(([, module]) => moduleRank(module) !== rank);
  const alphas = changed.filter(([, module]) => module.scale !== alpha / moduleRank(module));
  const patterns = (of: typeof changed, value: (module: ExpertModule) => number) =>
    Object.fromEntries(of.map(([name, module]) => [name, value(module)]));
  const { targets, layers } = targetsOf(modules, config);
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: trainedOn ?? OWN_BASE,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: targets,
    bias: 'none',
    fan_in_fan_out: false,
    modules_to_save: null,
    ...(ranks.length > 0 && { rank_pattern: patterns(ranks, moduleRank) }),
    ...(alphas.length > 0 && { alpha_pattern: patterns(alphas, (module) => module.scale * moduleRank(module)) }),
    ...(layers !== null && { layers_to_transform: layers }),
  };
}

/**
 * How a config names these modules. If they are the same in every layer that has any: by their
 * short names, with the layers unless they are all. Otherwise by their full names.
 */
function targetsOf(modules: Expert['modules'], config: DecoderConfig): { targets: string[]; layers: number[] | null } {
  const changed = [...linearModules(config)].filter(([name]) => modules.has(name));
  const distinct = <T>(of: (module: LinearModule) => T) => [...new Set(changed.map(([, module]) => of(module)))];
  const [kinds, layers] = [distinct(({ kind }) => kind), distinct(({ layer }) => layer)];
  if (changed.length < kinds.length * layers.length) return { targets: changed.map(([name]) => name), layers: null };
  const shortNames = kinds.map((kind) => kind.slice(kind.indexOf('.') + 1));
  return { targets: shortNames, layers: layers.length < config.num_hidden_layers ? layers : null };
}

/** The base, seen from an expert's folder. */
export const OWN_BASE = '../..';
