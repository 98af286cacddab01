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
import type { Dim } from '#gpu-backend/graph/onnx-format.ts';
import {
  add,
  concat,
  expand,
  logSoftmax,
  matmul,
  mul,
  reduceSum,
  reshapeAs,
  scalar,
  scale,
  sigmoid,
  silu,
  slice,
  sub,
  tokenLogprobs,
} from '#gpu-backend/graph/ops.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { type LoraExperts, mlpActivation } from '#gpu-backend/model/decoder.ts';
import { DOWN_PROJ, downProj } from '#gpu-backend/model/linear-modules.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { routerGates, spreadGates } from '#gpu-backend/model/router-gates.ts';
import type { BackendMode } from '#shared/line/line.ts';
import { type FrozenBase, frozenWeights } from './frozen-weights.ts';
import { type GradientOptions, gradientOutputs } from './gradient-outputs.ts';
import { type FrozenExpert, isOnDownProj, parameterInputs } from './lora.ts';
import { preferenceLoss } from './preference-loss.ts';
import {
  ANY_BATCH,
  answerPlaces,
  type GraphBatch,
  modelHidden,
  modelLogprobs,
  sequenceLogprobs,
  type TokenBatch,
  tokenBatch,
} from './training-inputs.ts';

/** A router serves one mode. */
export type RouterKind = BackendMode;
export type Variant = 'faithful' | 'corrected';

export type RouterGraphOptions = {
  base: FrozenBase;
  safety: FrozenExpert;
  helpfulness: FrozenExpert;
  rank: number;
  /** alpha / r, or the value used instead. */
  loraScale: number;
  batch?: GraphBatch;
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
  {
    beta,
    lambda,
    scoresToo = false,
    ...options
  }: RouterGraphOptions & GradientOptions & { variant: Variant; beta: number; lambda: number },
): Uint8Array {
  const { rows, length } = { ...ANY_BATCH, ...options.batch };
  const { graph, parameters, logprobs, safety, distance } = routed('plimsoll-router', config, options);
  const { dpo, delta } = preferenceLoss(graph, logprobs, { rows, beta });
  const counted = graph.input('regulariser_weights', 'float', [rows, length]);
  const total = reduceSum(mul(distance, counted), [0, 1], { keepDims: true });
  const regulariser = reduceSum(total, [0]); // [1]
  const loss = add(dpo, scale(regulariser, lambda));
  for (const [name, value] of Object.entries({ loss, dpo, regulariser, logprobs, delta, safety }))
    graph.output(name, value);
  gradientOutputs(graph, loss, { scoresToo, parameters });
  return graph.toModel();
}

/**
 * `distance [B, T]` is |alpha| + |beta - 1|, averaged over the layers if there are several. alpha
 * and beta lie between 0 and 1, so the code needs no absolute values.
 */
type Routed = { perToken: Value; safety: Value; distance: Value };

function routed(name: string, config: DecoderConfig, options: RouterGraphOptions & { variant: Variant }) {
  const graph = new Graph(name);
  const shape = options.batch ?? ANY_BATCH;
  const batch = tokenBatch(graph, shape);
  const parameters = parameterInputs(graph, routerShapes(config, options));
  const route = options.kind === 'layers' ? routeLayers : routeLogits;
  const { perToken, safety, distance } = route(graph, { ...options, config, parameters, batch, shape });
  return { graph, parameters, logprobs: sequenceLogprobs(perToken, batch), safety, distance };
}

type RouteInput = Omit<RouterGraphOptions, 'batch'> & {
  config: DecoderConfig;
  /** Only `layers` has variants: the published code has no other router. */
  variant: Variant;
  batch: TokenBatch;
  shape: GraphBatch;
  parameters: ReadonlyMap<string, Value>;
};

function routeLayers(graph: Graph, input: RouteInput): Routed {
  const { config, base, safety, helpfulness, rank, loraScale, batch, shape, parameters, variant } = input;
  assertRoutable('layers', { safety, helpfulness });
  const weights = frozenWeights(graph, config, base);
  const alphas: Value[] = [];
  const distances: Value[] = [];
  const ask = (layer: number, activation: Value) => {
    const [weight, bias] = [parameters.get(`router.${layer}.weight`)!, parameters.get(`router.${layer}.bias`)!];
    const shares = routerGates(activation, { weight, bias }); // [B, T, 2]
    return { shares, alpha: slice(shares, 2, 0, 1), beta: slice(shares, 2, 1, 2) };
  };
  const s = frozenLora(graph, 'safety', safety);
  const h = frozenLora(graph, 'helpfulness', helpfulness);
  const lora: LoraExperts = ({ layer, module, x: activation, layerInput }) => {
    if (module !== DOWN_PROJ) return null;
    const routing = ask(layer, activation);
    const linear = (x: Value, name: string) => weights.linear(x, `model.layers.${layer}.${name}`, null);
    const regularised = variant === 'corrected' ? routing : ask(layer, mlpActivation(layerInput, linear));
    alphas.push(routing.alpha);
    distances.push(add(regularised.alpha, sub(scalar(regularised.beta, 1), regularised.beta)));
    const [safe, helpful] = [s(downProj(layer)), h(downProj(layer))];
    return {
      a: concat([safe.a, helpful.a], 1), // [F, 2r]
      b: scale(concat([safe.b, helpful.b], 0), loraScale), // [2r, d]
      gates: spreadGates(routing.shares, [rank, rank]),
    };
  };
  const perToken = modelLogprobs({ config, weights, lora, batch, shape });
  const mean = ([first, ...rest]: readonly Value[]) => {
    const sum = reduceSum(concat([first!, ...rest], 2), [2]); // [B, T]
    return scale(sum, 1 / (1 + rest.length));
  };
  return { perToken, safety: mean(alphas), distance: mean(distances) };
}

/** Throws if a router of this kind cannot mix these experts. */
export function assertRoutable(kind: RouterKind, experts: Record<ExpertRole, FrozenExpert>): void {
  if (kind === 'logits') return;
  for (const [role, expert] of Object.entries(experts)) {
    if (isOnDownProj(expert)) continue;
    const found = [...new Set([...expert.keys()].map((name) => name.split('.').at(-1)))].join(', ');
    throw new Error(
      `a router over layers mixes ${DOWN_PROJ} alone: the ${role} expert has LoRA on ${found}; use kind logits`,
    );
  }
}

/** An expert's LoRA as constants of the graph, unscaled, by full names of modules it has. */
function frozenLora(graph: Graph, name: string, expert: FrozenExpert) {
  return (module: string) => {
    const store = (part: 'a' | 'b') => {
      const { shape, data } = expert.get(module)![part];
      return graph.once(`${name}.${module}.${part}`, () =>
        graph.initializer(`${name}.${module}.${part}`, 'float', shape, data),
      );
    };
    return { a: store('a'), b: store('b') };
  };
}

/**
 * Both experts read the batch in one pass, as two halves of 2B rows, so that a session packs the
 * base once. Gates say which half uses which columns of the stacked LoRA.
 */
function routeLogits(graph: Graph, input: RouteInput): Routed {
  const { config, base, safety, helpfulness, rank, loraScale, batch, shape, parameters } = input;
  const weights = frozenWeights(graph, config, base);
  const both: GraphBatch = { ...shape, rows: twice(shape.rows) };
  const experts = [
    { expert: safety, lora: frozenLora(graph, 'safety', safety), half: 0 },
    { expert: helpfulness, lora: frozenLora(graph, 'helpfulness', helpfulness), half: 1 },
  ];
  const lora: LoraExperts = ({ layer, module }) => {
    const name = `model.layers.${layer}.${module}`;
    const having = experts.filter(({ expert }) => expert.has(name));
    const [first, ...rest] = having.map((each) => each.lora(name));
    if (first === undefined) return null;
    const halves = having.map(({ half }) => half);
    return {
      a: concat([first.a, ...rest.map(({ a }) => a)], 1), // [in, R]
      b: scale(concat([first.b, ...rest.map(({ b }) => b)], 0), loraScale), // [R, out]
      gates: gatesOfHalves(batch.ids, { halves, rank, rows: shape.rows }),
    };
  };
  const ids = concat([batch.ids, batch.ids], 0, both.rows);
  const states = modelHidden({ config, weights, lora, batch: { ids }, shape: both }); // [2B, T, d]
  const [hs, hh] = halvesOf(states, [shape.rows, shape.length, config.hidden_size]); // [B, T, d]
  const inner = silu(
    add(matmul(concat([hs, hh], 2), parameters.get('router.hidden.weight')!), parameters.get('router.hidden.bias')!),
  );
  // [B, T, 1]
  const g = sigmoid(add(matmul(inner, parameters.get('router.out.weight')!), parameters.get('router.out.bias')!));
  const answers = answerPlaces(batch, shape);
  const stacked = concat([answers.take(hs), answers.take(hh)], 0, twice(shape.answers));
  const logprobs = logSoftmax(weights.head(stacked)); // [2 answers, V]
  const [lpS, lpH] = halvesOf(logprobs, [shape.answers, config.vocab_size]);
  // lp_h + g * (lp_s - lp_h); tokenLogprobs divides by Z.
  const blend = add(lpH, mul(answers.take(g), sub(lpS, lpH)));
  const share = reduceSum(g, [2]); // [B, T]
  const perToken = answers.put(tokenLogprobs(blend, answers.targets));
  return { perToken, safety: share, distance: scale(share, 2) };
}

const twice = (size: Dim): Dim => (typeof size === 'number' ? 2 * size : `2*${size}`);

/** The two halves of `x [2n, ...]` along its first axis, each of the shape `[n, ...]`. */
function halvesOf(x: Value, shape: readonly [Dim, ...Dim[]]): [Value, Value] {
  const halves = reshapeAs(x, [2, ...shape]);
  const half = (at: number) => reshapeAs(slice(halves, 0, at, at + 1), shape);
  return [half(0), half(1)];
}

/** `[2B, 1, R]`: 1 where a row is in the half of that column's expert, otherwise 0. */
function gatesOfHalves(
  ids: Value,
  { halves, rank, rows }: { halves: readonly number[]; rank: number; rows: Dim },
): Value {
  const { graph } = ids;
  return graph.once(`gates of halves ${halves.join()}`, () => {
    const columns = halves.flatMap((half) => new Array<number>(rank).fill(half));
    const ofHalf = (half: number) => columns.map((column) => Number(column === half));
    const gates = graph.constant('float', [2, 1, 1, columns.length], [...ofHalf(0), ...ofHalf(1)]);
    return reshapeAs(expand(gates, [2, rows, 1, columns.length]), [twice(rows), 1, columns.length]);
  });
}
