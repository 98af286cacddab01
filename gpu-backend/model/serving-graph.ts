/**
 * The graph that the engine runs: the decoder over keys and values that the caller keeps, with the
 * head only at the tokens whose logits are wanted. decoder.ts explains the letters.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  add,
  concat,
  gather,
  matmul,
  max,
  min,
  reshape,
  scale,
  softmax,
  splitLike,
  transpose,
  unsqueeze,
} from '../graph/ops.ts';
import type { BaseStorage } from './base-storage.ts';
import { type DecoderConfig, headDim, slidingWindow } from './config.ts';
import { type Attention, decoder, type LoraExperts, type ModuleInput, mergeHeads, splitQueries } from './decoder.ts';
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

/** A weight of the graph, stored once. */
type Store = (name: string, tensor: KernelTensor | undefined) => Value;

/**
 * The graph that the engine runs, as the bytes of an ONNX model. One graph serves every mode: each
 * row's gates stay within bounds that are fed in. If the two bounds of every gate are both 0 or
 * both 1, the row belongs to one expert.
 *
 * Inputs: `ids`, `positions` int64 `[B, T]`; `past_mask [B, 1, 1, P]` (with a sliding window
 * `[B, 1, T, P]`), `new_mask [B, 1, T, T]` (additive, 0 or -1e9); `gates_low` and, with a layers
 * router, `gates_high` `[B, 1, E]` (neither if every expert is the base alone); `wanted` int64
 * `[N]`, the places in the flattened `[B*T]` whose logits are wanted, perhaps none; per layer
 * `past_k.{l}`, `past_v.{l}` `[P, B, KV*hd]`, position first, so that any prefix of the caller's
 * slab is one contiguous view. P is at least 1 (mask it if there is no past).
 *
 * Outputs: of the wanted tokens `logits [N, V]`, `hidden [N, d]` and, with a layers router, `gates
 * [N, L, E]`; per layer `new_k.{l}`, `new_v.{l}` `[B, T, KV*hd]`. Fetch only what you use: every
 * fetched output is copied.
 */
export function buildServingGraph(config: DecoderConfig, { base, lora }: ServingWeights): Uint8Array {
  const graph = new Graph('plimsoll-serving');
  const ids = graph.input('ids', 'int64', ['B', 'T']);
  const positions = graph.input('positions', 'int64', ['B', 'T']);
  const masks = {
    pastMask: graph.input('past_mask', 'float', ['B', 1, slidingWindow(config) === null ? 1 : 'T', 'P']),
    newMask: graph.input('new_mask', 'float', ['B', 1, 'T', 'T']),
  };
  const wanted = graph.input('wanted', 'int64', ['N']);
  const width = config.num_key_value_heads * headDim(config);
  const past = Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
    keys: graph.input(`past_k.${layer}`, 'float', ['P', 'B', width]),
    values: graph.input(`past_v.${layer}`, 'float', ['P', 'B', width]),
  }));

  const store: Store = (name, tensor) => {
    if (tensor === undefined) throw new Error(`the serving graph needs the weight "${name}"`);
    return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
  };
  const weights = base(graph);
  const experts = lora && mixedExperts(graph, lora, store);

  const cached = cachedAttention(config, past, masks);
  const attention: Attention = (input) => {
    graph.output(`new_k.${input.layer}`, input.keys);
    graph.output(`new_v.${input.layer}`, input.values);
    return cached(input);
  };
  const states = decoder({ config, weights, ids, positions, attention, lora: experts?.lora ?? null });
  const atWanted = (x: Value, width: number) => gather(reshape(x, [-1, width], { inferred: 'B*T' }), wanted); // [N, width]
  const hidden = atWanted(states, config.hidden_size);
  graph.output('logits', weights.head(hidden));
  graph.output('hidden', hidden);
  const [first, ...rest] = experts?.routed ?? [];
  if (first !== undefined) {
    const all = concat([first, ...rest], 2); // [B, T, L*E]
    const experts = Number(first.shape[2]);
    const layers = config.num_hidden_layers;
    graph.output('gates', reshape(atWanted(all, layers * experts), [0, layers, experts]));
  }
  return graph.toModel();
}

/**
 * The LoRA of each module, with its gates: `clamp(router, gates_low, gates_high)` on `down_proj` if
 * there is a layers router, or else just `gates_low`. While the decoder is built, `routed` collects
 * the router's gates of each layer, `[B, T, E]`, also where a layer has no experts.
 */
function mixedExperts(
  graph: Graph,
  { count, modules, router }: ServingExperts,
  store: Store,
): { lora: LoraExperts; routed: Value[] } {
  const elsewhere = [...modules.keys()].find((name) => !name.endsWith(`.${DOWN_PROJ}`));
  // Nothing would say how much of each expert a layers row gets there.
  if (router !== null && elsewhere !== undefined) {
    throw new Error(`a layers router needs experts that change only ${DOWN_PROJ}, found one on ${elsewhere}`);
  }
  const low = graph.input('gates_low', 'float', ['B', 1, count]);
  const high = router && graph.input('gates_high', 'float', ['B', 1, count]);
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

/**
 * Attention over the past, which the caller keeps, and the tokens of this step: two products, and
 * one softmax over both.
 */
function cachedAttention(
  config: DecoderConfig,
  past: { keys: Value; values: Value }[],
  { pastMask, newMask }: { pastMask: Value; newMask: Value },
): Attention {
  return ({ queries, keys, values, layer }) => {
    const { keys: pastKeys, values: pastValues } = past[layer]!;
    const grouped = [0, 0, config.num_key_value_heads, headDim(config)];
    const q = scale(splitQueries(queries, config), headDim(config) ** -0.5); // [B, KV, G, T, hd]
    const fromPast = (x: Value, perm: number[]) => unsqueeze(transpose(reshape(x, grouped), perm), 2);
    const pastScores = add(matmul(q, fromPast(pastKeys, [1, 2, 3, 0])), unsqueeze(pastMask, 1)); // [B, KV, G, T, P]
    const newScores = add(matmul(q, fromPast(keys, [0, 2, 3, 1])), unsqueeze(newMask, 1)); // [B, KV, G, T, T]
    const probabilities = softmax(concat([pastScores, newScores], -1, 'P+T'));
    const [onPast, onNew] = splitLike(probabilities, 4, [
      { value: pastScores, axis: 4 },
      { value: newScores, axis: 4 },
    ]);
    const attended = add(
      matmul(onPast!, fromPast(pastValues, [1, 2, 0, 3])),
      matmul(onNew!, fromPast(values, [0, 2, 1, 3])),
    );
    return mergeHeads(attended, config);
  };
}
