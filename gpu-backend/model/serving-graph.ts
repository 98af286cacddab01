/**
 * The graph that the engine runs: the decoder over keys and values that the caller keeps, with the
 * head only at the tokens whose logits are wanted. decoder.ts explains the letters.
 */
import { Graph, type Value } from '../graph/graph.ts';
import { addRmsNorm, concat, gather, gemm, matmul, max, min, reshape, rotary, scatterRows } from '../graph/ops.ts';
import type { BaseStorage } from './base-storage.ts';
import { type AttentionInputs, cachedAttention } from './cached-attention.ts';
import { type DecoderConfig, headDim } from './config.ts';
import {
  type Attention,
  type DecoderSteps,
  decoder,
  type LoraExperts,
  type ModuleInput,
  ropeTables,
} from './decoder.ts';
import { DOWN_PROJ } from './linear-modules.ts';
import { routerGates, spreadGates } from './router-gates.ts';

export type KernelTensor = { shape: readonly number[]; data: Float32Array };

/**
 * One module's experts, side by side: expert e owns the next `ranks[e]` columns of `a [in, R]` and
 * rows of `b [R, out]`, where R is the sum of the ranks. 0 if it leaves the module alone. `b`
 * includes the LoRA scale.
 */
export type StackedLora = { ranks: readonly number[]; a: KernelTensor; b: KernelTensor };

export type ServingExperts = {
  /** E */
  count: number;
  /** By the modules' full names. At least one; modules that no expert changes are left out. */
  modules: ReadonlyMap<string, StackedLora>;
  /**
   * The layers router, one column per expert: `weight [F, E]`, `bias [E]`. null if the bundle has
   * none. With a router, only `mlp.down_proj` may have experts.
   */
  router: readonly { weight: KernelTensor; bias: KernelTensor }[] | null;
};

export type ServingWeights = {
  base: BaseStorage;
  /** null if every expert is the base alone. */
  lora: ServingExperts | null;
};

/**
 * The graph that the engine runs, as the bytes of an ONNX model. One graph serves every mode: each
 * token's gates stay within bounds that are fed in. If the two bounds of every gate are both 0 or
 * both 1, the token belongs to one expert.
 *
 * Tokens come position first: those of all rows at their first new place, then those at the second.
 * The place of row b's token t in that line of N = T B tokens is t B + b.
 *
 * Inputs: `ids` int64 `[N]`, `positions` int64 `[N, 1]`; `gates_low` and, with a layers router,
 * `gates_high` `[N, E]` (neither if every expert is the base alone); `wanted` int64 `[W]`, the
 * places of the tokens whose logits are wanted, perhaps none; `mask`, `query_shape`, `key_shape`,
 * `fold`, `parts` and per layer `past_k.{l}`, `past_v.{l}` as cached-attention.ts says. P is at
 * least 1 (mask it if there is no past).
 *
 * Outputs: of the wanted tokens `logits [W, V]`, `hidden [W, d]` and, with a layers router, `gates
 * [W, L, E]`; per layer `new_k.{l}`, `new_v.{l}`, `N x KV*hd` numbers. Fetch only what you use:
 * every fetched output is copied.
 *
 * With `sumLayers` (C of them), there is also `sums [S, C*d]`: of each of S stretches of tokens,
 * the sum of the states that these layers leave, before any norm. `sum_tokens` int64 `[S, G]` has
 * the places of its tokens, `sum_weights` `[S, 1, G]` is 1, or 0 where a shorter one is filled up.
 *
 * With `nextPast`, there are also outputs for a device that keeps keys and values: per layer
 * `next_k.{l}`, `next_v.{l}`, the past with this step's tokens in it. `places` int64 `[N, 2]` says
 * where each of them goes: its position in P, and its row.
 */
export function buildServingGraph(
  config: DecoderConfig,
  { base, lora }: ServingWeights,
  {
    strided = true,
    nextPast = false,
    sumLayers = [],
  }: { strided?: boolean; nextPast?: boolean; sumLayers?: readonly number[] } = {},
): Uint8Array {
  const graph = new Graph('plimsoll-serving');
  const ids = graph.input('ids', 'int64', ['N']);
  const positions = graph.input('positions', 'int64', ['N', 1]);
  const wanted = graph.input('wanted', 'int64', ['W']);
  const weights = base(graph);
  const experts = lora && mixedExperts(graph, lora);

  const attended = attentionInputs(graph, config);
  const cached = cachedAttention(config, attended, { strided });
  const places = nextPast ? graph.input('places', 'int64', ['N', 2]) : null;
  const attention: Attention = (input) => {
    const { keys, values, layer } = input;
    graph.output(`new_k.${layer}`, keys);
    graph.output(`new_v.${layer}`, values);
    if (places !== null) {
      const { keys: pastKeys, values: pastValues } = attended.past[layer]!;
      const likePast = (x: Value) =>
        reshape(x, [-1, config.num_key_value_heads, 1, headDim(config)], { inferred: 'N' });
      graph.output(`next_k.${layer}`, scatterRows(pastKeys, places, likePast(keys)));
      graph.output(`next_v.${layer}`, scatterRows(pastValues, places, likePast(values)));
    }
    return cached(input);
  };
  const steps = fusedSteps(config, positions);
  const sums = sumLayers.length > 0 ? spanSums(graph, sumLayers) : null;
  const states = decoder({
    ...{ config, weights, ids, steps, attention },
    lora: experts?.lora ?? null,
    ...(sums && { onLayer: sums.read }),
  });
  sums?.output();
  const hidden = gather(states, wanted); // [W, d]
  graph.output('logits', weights.head(hidden));
  graph.output('hidden', hidden);
  const [first, ...rest] = experts?.routed ?? [];
  if (first !== undefined) {
    const spec = [0, config.num_hidden_layers, Number(first.shape[1])];
    graph.output('gates', reshape(gather(concat([first, ...rest], 1), wanted), spec));
  }
  return graph.toModel();
}

/**
 * Sums of the states that some layers leave. A stretch's own tokens are gathered first: a product
 * with all tokens would let a NaN in one row into the sums of all.
 */
function spanSums(graph: Graph, layers: readonly number[]) {
  const tokens = graph.input('sum_tokens', 'int64', ['S', 'G']);
  const weights = graph.input('sum_weights', 'float', ['S', 1, 'G']);
  const byLayer = new Map<number, Value>();
  return {
    read: (layer: number, states: Value) => {
      if (!layers.includes(layer)) return;
      const sum = matmul(weights, gather(states, tokens)); // [S, 1, d]
      byLayer.set(layer, reshape(sum, [0, Number(states.shape.at(-1))]));
    },
    output: () => {
      // The caller has checked that the model has these layers.
      const [first, ...rest] = layers.map((layer) => byLayer.get(layer)!) as [Value, ...Value[]];
      graph.output('sums', rest.length === 0 ? first : concat([first, ...rest], 1));
    },
  };
}

function attentionInputs(graph: Graph, config: DecoderConfig): AttentionInputs {
  const dims = ['P', 'B', config.num_key_value_heads, 1, headDim(config)];
  return {
    mask: graph.input('mask', 'float', ['B', 1, 1, 'T', 'P+T']),
    queryShape: graph.input('query_shape', 'int64', [5]),
    keyShape: graph.input('key_shape', 'int64', [5]),
    fold: graph.input('fold', 'int64', [5]),
    parts: graph.input('parts', 'int64', [2]),
    past: Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
      keys: graph.input(`past_k.${layer}`, 'float', dims),
      values: graph.input(`past_v.${layer}`, 'float', dims),
    })),
  };
}

/** Steps in as few operators as possible, for tokens in a line. Queries are scaled on the way. */
function fusedSteps(config: DecoderConfig, positions: Value): DecoderSteps {
  const scaled = { name: 'rope.queries', factor: headDim(config) ** -0.5 };
  return {
    rotate(x, what) {
      const { cos, sin } = ropeTables(x, config, what === 'queries' ? scaled : {});
      return rotary(reshape(x, [-1, 1, Number(x.shape[1])]), positions, cos, sin);
    },
    addNorm: addRmsNorm,
    addProduct: (sum, x, weight) => gemm(x, weight, { plus: sum }),
  };
}

/**
 * The LoRA of each module, with its gates: `clamp(router, gates_low, gates_high)` on `down_proj` if
 * there is a layers router, or else just `gates_low`. While the decoder is built, `routed` collects
 * the router's gates of each layer, `[N, E]`, also where a layer has no experts.
 */
function mixedExperts(
  graph: Graph,
  { count, modules, router }: ServingExperts,
): { lora: LoraExperts; routed: Value[] } {
  const elsewhere = [...modules.keys()].find((name) => !name.endsWith(`.${DOWN_PROJ}`));
  // Nothing would say how much of each expert a layers row gets there.
  if (router !== null && elsewhere !== undefined) {
    throw new Error(`a layers router needs experts that change only ${DOWN_PROJ}, found one on ${elsewhere}`);
  }
  /** A weight of the graph, stored once. */
  const store = (name: string, tensor: KernelTensor | undefined): Value => {
    if (tensor === undefined) throw new Error(`the serving graph needs the weight "${name}"`);
    return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
  };
  const low = graph.input('gates_low', 'float', ['N', count]);
  const high = router && graph.input('gates_high', 'float', ['N', count]);
  const routed: Value[] = [];
  const gatesAt = ({ module, layer, x }: ModuleInput): Value => {
    if (router === null || high === null || module !== DOWN_PROJ) return low;
    const wanted = routerGates(x, {
      weight: store(`router.${layer}.weight`, router[layer]?.weight),
      bias: store(`router.${layer}.bias`, router[layer]?.bias),
    });
    const held = min(max(wanted, low), high);
    routed.push(held);
    return held;
  };
  // Without a router all modules have the same gates, and most have the same ranks.
  const known = new Map<string, Value>();
  const spread = (gates: Value, ranks: readonly number[]) => {
    const key = `${gates.name} ${ranks}`;
    const value = known.get(key) ?? spreadGates(gates, ranks);
    known.set(key, value);
    return value;
  };
  const lora: LoraExperts = (at) => {
    const gates = gatesAt(at);
    const name = `model.layers.${at.layer}.${at.module}`;
    const stacked = modules.get(name);
    if (stacked === undefined) return null;
    const a = store(`${name}.lora_a`, stacked.a);
    return { a, b: store(`${name}.lora_b`, stacked.b), gates: spread(gates, stacked.ranks) };
  };
  return { lora, routed };
}
