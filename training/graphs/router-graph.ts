/**
 * MidPO's dynamic routing (arXiv 2506.02460, section 3.2). The experts are frozen. We train only
 * how much of each expert a token gets. The loss is DPO on pairs chosen for both dimensions at
 * once, plus `lambda * (mean |alpha| + mean |beta - 1|)`.
 *
 *   layers    out = W_down h + alpha * L_s(h) + beta * L_h(h);
 *             alpha and beta are sigmoids of the activation h, per layer and token
 *   logits    log p = g * lp_s + (1 - g) * lp_h - log Z, the served form itself;
 *             g is a small head on both experts' last hidden states, per token.
 *             Here alpha = g and beta = 1 - g, so the regulariser is 2 * lambda * mean g
 *
 * Published routers are three linear layers with nothing in between. Each such stack equals one
 * linear layer, and we train that (`fold-router.test.ts` shows that they are equal). `faithful`
 * keeps four faults of the published code, and `corrected` fixes all four:
 *
 * - The experts' scale is 1 in this stage. It was alpha / r when the experts were trained, and it
 *   is alpha / r again when they are served.
 * - The regulariser counts every position, even those of the prompt and the padding.
 * - The regulariser feeds the router an activation that routes no token: the MLP's activation
 *   of the decoder layer's own input, before attention and norms, `silu(x W_gate) * (x W_up)`
 *   (`decoder_layer.mlp(hidden_states)` in `LlamaModel.forward` of its `llama_with_router.py`). The
 *   gradient flows through x there, and also here.
 * - The first token in which two answers differ is left out of their log-probabilities
 *   (`encode-pairs.ts`).
 *
 * Of the regulariser's two faults, this file handles the second. The caller handles the first: it
 * decides which positions count, through the weights that it feeds.
 */
import { Graph, type Value } from '#gpu-backend/graph/graph.ts';
import {
  add,
  concat,
  logSoftmax,
  matmul,
  mul,
  reduceSum,
  scalar,
  scale,
  sigmoid,
  silu,
  slice,
  sub,
  tokenLogprobs,
} from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { mlpActivation } from '#gpu-backend/model/decoder.ts';
import { routerGates, spreadGates } from '#gpu-backend/model/router-gates.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';
import type { Mode } from '#shared/line/line.ts';
import { gradients } from '../autodiff/gradients.ts';
import { type FrozenWeights, frozenWeights } from './frozen-weights.ts';
import { preferenceLoss } from './preference-loss.ts';
import {
  type BatchShape,
  modelHidden,
  modelLogprobs,
  onDownProj,
  sequenceLogprobs,
  type TokenBatch,
  tokenBatch,
} from './training-inputs.ts';

/** A router serves one mode. */
export type RouterKind = Mode;
export type Variant = 'faithful' | 'corrected';

/** An expert's LoRA by layer, unscaled: `a [F, r]`, `b [r, d]`. */
export type FrozenExpert = readonly { a: KernelTensor; b: KernelTensor }[];

export type RouterGraphOptions = {
  base: FrozenWeights;
  safety: FrozenExpert;
  helpfulness: FrozenExpert;
  rank: number;
  /** alpha / r, or the value used instead. */
  loraScale: number;
  batch: BatchShape;
  kind: RouterKind;
  /** Hidden units between the hidden states and g. Only for `logits`. */
  width: number;
};

/**
 * `layers`: per layer `weight [F, 2]` and `bias [2]`, with alpha's column first. `logits`: one
 * hidden layer of `width` units and an output.
 */
export function routerShapes(
  config: DecoderConfig,
  { kind, width }: { kind: RouterKind; width: number },
): Map<string, number[]> {
  if (kind === 'logits') {
    return new Map([
      ['router.hidden.weight', [2 * config.hidden_size, width]],
      ['router.hidden.bias', [width]],
      ['router.out.weight', [width, 1]],
      ['router.out.bias', [1]],
    ]);
  }
  const shapes = new Map<string, number[]>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    shapes.set(`router.${layer}.weight`, [config.intermediate_size, 2]);
    shapes.set(`router.${layer}.bias`, [2]);
  }
  return shapes;
}

/**
 * Inputs: the token batch and the router. Outputs: `logprobs [B]` and `safety [B, T]`, which is the
 * mean of alpha over the layers, or g.
 */
export function buildRoutedScoreGraph(config: DecoderConfig, options: RouterGraphOptions): Uint8Array {
  // The variants differ only in the regulariser, and scores do not depend on it.
  const { graph, logprobs, safety } = routed('plimsoll-routed-score', config, { ...options, variant: 'corrected' });
  graph.output('logprobs', logprobs);
  graph.output('safety', safety);
  return graph.toModel();
}

/**
 * Inputs: the token batch `[2N, T]`, `reference [2N]`, `margin [N]`, `regulariser_weights [2N, T]`
 * (sum 1) and the router. Outputs: `loss`, `dpo`, `regulariser`, `logprobs [2N]`, `delta [N]`,
 * `safety [2N, T]`, `grad.<name>`.
 */
export function buildRouterGraph(
  config: DecoderConfig,
  { beta, lambda, ...options }: RouterGraphOptions & { variant: Variant; beta: number; lambda: number },
): Uint8Array {
  const { rows, length } = options.batch;
  const { graph, parameters, logprobs, safety, distance } = routed('plimsoll-router', config, options);
  const { dpo, delta } = preferenceLoss(graph, logprobs, { rows, beta });
  const counted = graph.input('regulariser_weights', 'float', [rows, length]);
  const total = reduceSum(mul(distance, counted), [0, 1], { keepDims: true });
  const regulariser = reduceSum(total, [0]); // [1]
  const loss = add(dpo, scale(regulariser, lambda));
  for (const [name, value] of Object.entries({ loss, dpo, regulariser, logprobs, delta, safety }))
    graph.output(name, value);
  const names = [...parameters.keys()];
  gradients(graph, loss, [...parameters.values()]).forEach((gradient, i) => {
    graph.output(`grad.${names[i]}`, gradient);
  });
  return graph.toModel();
}

/**
 * `distance [B, T]` is |alpha| + |beta - 1|, averaged over the layers if there are several. alpha
 * and beta lie between 0 and 1, so the code needs no absolute values.
 */
type Routed = { perToken: Value; safety: Value; distance: Value };

function routed(name: string, config: DecoderConfig, options: RouterGraphOptions & { variant: Variant }) {
  const graph = new Graph(name);
  const batch = tokenBatch(graph, options.batch);
  const parameters = new Map<string, Value>();
  for (const [parameter, dims] of routerShapes(config, options))
    parameters.set(parameter, graph.input(parameter, 'float', dims));
  const route = options.kind === 'layers' ? routeLayers : routeLogits;
  const { perToken, safety, distance } = route(graph, { ...options, config, parameters, batch, shape: options.batch });
  return { graph, parameters, logprobs: sequenceLogprobs(perToken, batch), safety, distance };
}

type RouteInput = Omit<RouterGraphOptions, 'batch'> & {
  config: DecoderConfig;
  /** Only `layers` has variants: the published code has no other router. */
  variant: Variant;
  batch: TokenBatch;
  shape: BatchShape;
  parameters: ReadonlyMap<string, Value>;
};

function routeLayers(graph: Graph, input: RouteInput): Routed {
  const { config, base, safety, helpfulness, rank, loraScale, batch, shape, parameters, variant } = input;
  const weights = frozenWeights(graph, config, base);
  const alphas: Value[] = [];
  const distances: Value[] = [];
  const ask = (layer: number, activation: Value) => {
    const [weight, bias] = [parameters.get(`router.${layer}.weight`)!, parameters.get(`router.${layer}.bias`)!];
    const shares = routerGates(activation, { weight, bias }); // [B, T, 2]
    return { shares, alpha: slice(shares, 2, 0, 1), beta: slice(shares, 2, 1, 2) };
  };
  const [s, h] = [frozenLora(graph, 'safety', safety), frozenLora(graph, 'helpfulness', helpfulness)];
  const lora = onDownProj(({ layer, x: activation, layerInput }) => {
    const routing = ask(layer, activation);
    const linear = (x: Value, module: string) => weights.linear(x, `model.layers.${layer}.${module}`, null);
    const regularised = variant === 'corrected' ? routing : ask(layer, mlpActivation(layerInput, linear));
    alphas.push(routing.alpha);
    distances.push(add(regularised.alpha, sub(scalar(regularised.beta, 1), regularised.beta)));
    return {
      a: concat([s.a(layer), h.a(layer)], 1), // [F, 2r]
      b: scale(concat([s.b(layer), h.b(layer)], 0), loraScale), // [2r, d]
      gates: spreadGates(routing.shares, [rank, rank]),
    };
  });
  const perToken = modelLogprobs(graph, { config, weights, lora, batch, shape });
  const mean = ([first, ...rest]: readonly Value[]) => {
    const sum = reduceSum(concat([first!, ...rest], 2), [2]); // [B, T]
    return scale(sum, 1 / (1 + rest.length));
  };
  return { perToken, safety: mean(alphas), distance: mean(distances) };
}

/** An expert's LoRA as constants of the graph, unscaled. */
function frozenLora(graph: Graph, name: string, expert: FrozenExpert) {
  const store = (part: 'a' | 'b') => (layer: number) => {
    const { shape, data } = expert[layer]![part];
    return graph.initializer(`${name}.${layer}.${part}`, 'float', shape, data);
  };
  return { a: store('a'), b: store('b') };
}

function routeLogits(graph: Graph, input: RouteInput): Routed {
  const { config, base, safety, helpfulness, loraScale, batch, shape, parameters } = input;
  const weights = frozenWeights(graph, config, base);
  const stateOf = (name: string, expert: FrozenExpert) => {
    const { a, b } = frozenLora(graph, name, expert);
    const lora = onDownProj(({ layer }) => ({ a: a(layer), b: scale(b(layer), loraScale), gates: null }));
    return modelHidden(graph, { config, weights, lora, batch, shape });
  };
  const [hs, hh] = [stateOf('safety', safety), stateOf('helpfulness', helpfulness)]; // [B, T, d]
  const inner = silu(
    add(matmul(concat([hs, hh], 2), parameters.get('router.hidden.weight')!), parameters.get('router.hidden.bias')!),
  );
  // [B, T, 1]
  const g = sigmoid(add(matmul(inner, parameters.get('router.out.weight')!), parameters.get('router.out.bias')!));
  const logprobs = (state: Value) => logSoftmax(weights.head(state)); // [B, T, V]
  const [lpS, lpH] = [logprobs(hs), logprobs(hh)];
  // lp_h + g * (lp_s - lp_h); tokenLogprobs divides by Z.
  const blend = add(lpH, mul(g, sub(lpS, lpH)));
  const share = reduceSum(g, [2]); // [B, T]
  return { perToken: tokenLogprobs(blend, batch.targets), safety: share, distance: scale(share, 2) };
}
