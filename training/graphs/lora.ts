/**
 * LoRA (Hu et al., arXiv 2106.09685) in the training graphs: `W x + scale * B (A x)` on the chosen
 * linear modules of every layer. MidPO trains `mlp.down_proj` alone, and so do we by default.
 *
 * A trained tensor is called `lora.{layer}.{module}.a` or `.b`, such as `lora.3.mlp.down_proj.a`.
 * The layout is that of the graphs: `a [in, r]`, `b [r, out]`.
 */
import type { Graph, Value } from '#gpu-backend/graph/graph.ts';
import { scale } from '#gpu-backend/graph/ops.ts';
import type { ExpertModule } from '#gpu-backend/model/adapter.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { LoraExperts } from '#gpu-backend/model/decoder.ts';
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import { DOWN_PROJ, linearModules } from '#gpu-backend/model/linear-modules.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';

/** Names of modules inside a layer, such as `mlp.down_proj`. */
export type Targets = readonly string[];

export const DEFAULT_TARGETS: Targets = [DOWN_PROJ];

/** A trained LoRA by the modules' full names, such as `model.layers.0.mlp.down_proj`, unscaled. */
export type FrozenExpert = ReadonlyMap<string, { a: KernelTensor; b: KernelTensor }>;

const loraName = (layer: number, module: string, part: 'a' | 'b') => `lora.${layer}.${module}.${part}`;

/**
 * The modules of `names` in the decoder's own order. A name may be short (`q_proj`) or whole
 * (`self_attn.q_proj`). Throws if there is none, or one that no layer has.
 */
export function readTargets(names: readonly string[], config: DecoderConfig): string[] {
  const kinds = [...new Set([...linearModules(config).values()].map(({ kind }) => kind))];
  const unknown = names.filter((name) => !kinds.some((kind) => isCalled(kind, name)));
  if (names.length === 0 || unknown.length > 0) {
    const found = unknown.length > 0 ? unknown.map((name) => `"${name}"`).join(', ') : 'none';
    throw new Error(`targets: found ${found}, wanted linear modules of a layer: ${kinds.join(', ')}`);
  }
  return kinds.filter((kind) => names.some((name) => isCalled(kind, name)));
}

const isCalled = (kind: string, name: string) => kind === name || kind.endsWith(`.${name}`);

/** The trained tensors' shapes, layer by layer. */
export function loraShapes(
  config: DecoderConfig,
  rank: number,
  targets: Targets = DEFAULT_TARGETS,
): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (const { kind, layer, inputs, outputs } of linearModules(config).values()) {
    if (!targets.includes(kind)) continue;
    shapes.set(loraName(layer, kind, 'a'), [inputs, rank]);
    shapes.set(loraName(layer, kind, 'b'), [rank, outputs]);
  }
  return shapes;
}

/** Adds an input for every tensor of `shapes`. */
export function parameterInputs(graph: Graph, shapes: ReadonlyMap<string, readonly number[]>): Map<string, Value> {
  return new Map([...shapes].map(([name, dims]) => [name, graph.input(name, 'float', dims)]));
}

/** The LoRA that is trained, from its inputs. */
export function trainedLora(parameters: ReadonlyMap<string, Value>, loraScale: number): LoraExperts {
  return ({ layer, module }) => {
    const [a, b] = [parameters.get(loraName(layer, module, 'a')), parameters.get(loraName(layer, module, 'b'))];
    return a === undefined || b === undefined ? null : { a, b: scale(b, loraScale), gates: null };
  };
}

/** A trained LoRA by full names of modules, from a checkpoint's tensors. */
export function frozenExpert(
  tensors: ReadonlyMap<string, KernelTensor>,
  config: DecoderConfig,
  targets: Targets = DEFAULT_TARGETS,
): FrozenExpert {
  return new Map(
    [...linearModules(config)].flatMap(([name, { kind, layer }]) => {
      if (!targets.includes(kind)) return [];
      // The tensors are those of `loraShapes` for the same targets.
      const part = (of: 'a' | 'b') => tensors.get(loraName(layer, kind, of))!;
      return [[name, { a: part('a'), b: part('b') }] as const];
    }),
  );
}

/** A trained LoRA in PEFT's layout: `a [r, in]`, `b [out, r]`, and the scale apart. */
export function asAdapter(
  trained: FrozenExpert,
  { rank, alpha }: { rank: number; alpha: number },
): Map<string, ExpertModule> {
  const turned = ({ shape, data }: KernelTensor) => {
    const [rows, columns] = shape as [number, number];
    return { shape: [columns, rows], data: transposeMatrix(data, rows, columns) };
  };
  return new Map([...trained].map(([name, { a, b }]) => [name, { a: turned(a), b: turned(b), scale: alpha / rank }]));
}

/** The opposite of `frozenExpert`. */
export function loraTensors(expert: FrozenExpert, config: DecoderConfig): Map<string, KernelTensor> {
  const modules = linearModules(config);
  return new Map(
    [...expert].flatMap(([name, { a, b }]) => {
      const { kind, layer } = modules.get(name)!;
      return [
        [loraName(layer, kind, 'a'), a],
        [loraName(layer, kind, 'b'), b],
      ] as const;
    }),
  );
}

/** Whether an expert changes `mlp.down_proj` and nothing else. */
export function isOnDownProj(expert: FrozenExpert): boolean {
  return [...expert.keys()].every((name) => name.endsWith(`.${DOWN_PROJ}`));
}
