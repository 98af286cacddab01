/**
 * The learned routers of a bundle, and how its files store them. There are two kinds. A bundle may
 * hold either, both or none:
 *
 *   layers   MidPO's (arXiv 2506.02460): each expert's share in every layer and for every token,
 *            from the MLP's activation h [F], the input of down_proj: `alpha = sigmoid(w.h + b)`
 *            for the safety expert, `beta` likewise for the helpfulness expert. The paper has three
 *            linear layers there with nothing in between, which amount to one.
 *   logits   one safety weight per token, from the last hidden states of both experts' rows
 *            (propose-weight.ts).
 *
 * Routers are always stored as F32, whatever type the weights have: they are small, and a gate's
 * bias is no place to round.
 */
import type { DecoderConfig } from './config.ts';
import type { Manifest } from './manifest.ts';
import type { Tensor } from './tensor.ts';

/** sigmoid(weight . h + bias), `weight` [F]. */
export type RouterGate = { weight: Float32Array; bias: number };

export type LayersRouter = {
  /**
   * How it was trained: as the paper's code does it, or with the faults of that code corrected.
   * Both are served the same way.
   */
  variant: 'faithful' | 'corrected';
  /** One entry per decoder layer. */
  layers: { alpha: RouterGate; beta: RouterGate }[];
};

export type LogitsRouter = {
  /** m */
  width: number;
  /** Row-major [m, 2d]: the safety row's hidden state comes first. */
  hiddenWeight: Float32Array;
  /** [m] */
  hiddenBias: Float32Array;
  /** [m] */
  outWeight: Float32Array;
  outBias: number;
};

export type Routers = { layers: LayersRouter | null; logits: LogitsRouter | null };
export const NO_ROUTERS: Routers = { layers: null, logits: null };

export const ROUTER_FILES = {
  layers: 'routers/layers.safetensors',
  logits: 'routers/logits.safetensors',
} as const satisfies Record<keyof Routers, string>;

/** The router files that a manifest names, in the order of the digest. */
export function routerFiles({ router }: Pick<Manifest, 'router'>): string[] {
  return (['layers', 'logits'] as const)
    .filter((kind) => router?.[kind] !== undefined)
    .map((kind) => ROUTER_FILES[kind]);
}

/** What `plimsoll.json` says about these routers. */
export function routerManifest({ layers, logits }: Routers): Manifest['router'] {
  if (layers === null && logits === null) return null;
  return {
    ...(layers !== null && { layers: { variant: layers.variant } }),
    ...(logits !== null && { logits: { width: logits.width } }),
  };
}

const GATES = ['alpha', 'beta'] as const;
const gateName = (layer: number, gate: (typeof GATES)[number], part: 'weight' | 'bias') =>
  `layers.${layer}.${gate}.${part}`;

export function layersRouterShapes(config: DecoderConfig): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    for (const gate of GATES) {
      shapes.set(gateName(layer, gate, 'weight'), [config.intermediate_size]);
      shapes.set(gateName(layer, gate, 'bias'), [1]);
    }
  }
  return shapes;
}

export function logitsRouterShapes({ hidden_size: d }: DecoderConfig, width: number): Map<string, number[]> {
  return new Map([
    ['hidden.weight', [width, 2 * d]],
    ['hidden.bias', [width]],
    ['out.weight', [width]],
    ['out.bias', [1]],
  ]);
}

/** From tensors that have passed the check against `layersRouterShapes`. */
export function layersRouterOf(
  tensors: ReadonlyMap<string, Tensor>,
  { variant, layerCount }: { variant: LayersRouter['variant']; layerCount: number },
): LayersRouter {
  const gate = (layer: number, name: (typeof GATES)[number]): RouterGate => ({
    weight: tensors.get(gateName(layer, name, 'weight'))!.data,
    bias: tensors.get(gateName(layer, name, 'bias'))!.data[0]!,
  });
  const layers = Array.from({ length: layerCount }, (_, layer) => ({
    alpha: gate(layer, 'alpha'),
    beta: gate(layer, 'beta'),
  }));
  return { variant, layers };
}

export function layersRouterTensors({ layers }: LayersRouter): Map<string, Tensor> {
  return new Map(
    layers.flatMap((gates, layer) =>
      GATES.flatMap((gate) => [
        [gateName(layer, gate, 'weight'), vector(gates[gate].weight)] as const,
        [gateName(layer, gate, 'bias'), vector(Float32Array.of(gates[gate].bias))] as const,
      ]),
    ),
  );
}

/** From tensors that have passed the check against `logitsRouterShapes`. */
export function logitsRouterOf(tensors: ReadonlyMap<string, Tensor>, width: number): LogitsRouter {
  const data = (name: string) => tensors.get(name)!.data;
  return {
    width,
    hiddenWeight: data('hidden.weight'),
    hiddenBias: data('hidden.bias'),
    outWeight: data('out.weight'),
    outBias: data('out.bias')[0]!,
  };
}

export function logitsRouterTensors(router: LogitsRouter): Map<string, Tensor> {
  const { width, hiddenWeight, hiddenBias, outWeight, outBias } = router;
  return new Map([
    ['hidden.weight', { shape: [width, hiddenWeight.length / width], data: hiddenWeight }],
    ['hidden.bias', vector(hiddenBias)],
    ['out.weight', vector(outWeight)],
    ['out.bias', vector(Float32Array.of(outBias))],
  ]);
}

const vector = (data: Float32Array): Tensor => ({ shape: [data.length], data });
