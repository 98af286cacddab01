/**
 * The graph that the engine runs: the decoder over keys and values that the caller keeps, with the
 * head at one position of each row. decoder.ts explains the letters.
 */
import { Graph, type Value } from '../graph/graph.ts';
import {
  add,
  concat,
  gatherPositions,
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
import { type DecoderConfig, headDim, slidingWindow } from './config.ts';
import {
  type Attention,
  decoder,
  floatWeights,
  type LoraExperts,
  type ModuleInput,
  mergeHeads,
  splitQueries,
} from './decoder.ts';
import { routerGates, spreadGates } from './router-gates.ts';

export type KernelTensor = { shape: readonly number[]; data: Float32Array };

export type ServingExperts = {
  /** r */
  rank: number;
  /** Stacked experts: `a [F, E*r]`, `b [E*r, d]`, with the LoRA scale folded into `b`. */
  layers: readonly { a: KernelTensor; b: KernelTensor }[];
  /**
   * The layers router, one column per expert: `weight [F, E]`, `bias [E]`. null if the bundle has
   * none.
   */
  router: readonly { weight: KernelTensor; bias: KernelTensor }[] | null;
};

export type ServingWeights = {
  /** By Hugging Face's names; linear weights are `[in, out]`. */
  base: ReadonlyMap<string, KernelTensor>;
  /** null if there are no experts. */
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
 * router, `gates_high` `[B, 1, E]` (only with experts); `last` int64 `[B]`, the place in T whose
 * logits are wanted; per layer `past_k.{l}`, `past_v.{l}` `[P, B, KV*hd]`, position first, so that
 * any prefix of the caller's slab is one contiguous view. P is at least 1 (mask it if there is no
 * past).
 *
 * Outputs: `logits [B, V]`, `hidden [B, d]`, per layer `new_k.{l}`, `new_v.{l}` `[B, T, KV*hd]`;
 * with a layers router `gates [B, L, E]`, those of each row's last token. Fetch only what you use:
 * every fetched output is copied.
 */
export function buildServingGraph(config: DecoderConfig, { base, lora }: ServingWeights): Uint8Array {
  const graph = new Graph('plimsoll-serving');
  const ids = graph.input('ids', 'int64', ['B', 'T']);
  const positions = graph.input('positions', 'int64', ['B', 'T']);
  const masks = {
    pastMask: graph.input('past_mask', 'float', ['B', 1, slidingWindow(config) === null ? 1 : 'T', 'P']),
    newMask: graph.input('new_mask', 'float', ['B', 1, 'T', 'T']),
  };
  const last = graph.input('last', 'int64', ['B']);
  const width = config.num_key_value_heads * headDim(config);
  const past = Array.from({ length: config.num_hidden_layers }, (_, layer) => ({
    keys: graph.input(`past_k.${layer}`, 'float', ['P', 'B', width]),
    values: graph.input(`past_v.${layer}`, 'float', ['P', 'B', width]),
  }));

  const store: Store = (name, tensor) => {
    if (tensor === undefined) throw new Error(`the serving graph needs the weight "${name}"`);
    return graph.once(name, () => graph.initializer(name, 'float', tensor.shape, tensor.data));
  };
  const weights = floatWeights((name) => store(name, base.get(name)), config);
  const gating = lora && boundedGates(graph, lora, store);
  const experts: LoraExperts | null =
    lora &&
    gating &&
    ((at) => {
      if (at.module !== 'mlp.down_proj') return null;
      const { layer } = at;
      const a = store(`lora.${layer}.a`, lora.layers[layer]?.a);
      return { a, b: store(`lora.${layer}.b`, lora.layers[layer]?.b), gates: gating.gates(at) };
    });

  const cached = cachedAttention(config, past, masks);
  const attention: Attention = (input) => {
    graph.output(`new_k.${input.layer}`, input.keys);
    graph.output(`new_v.${input.layer}`, input.values);
    return cached(input);
  };
  const states = decoder({ config, weights, ids, positions, attention, lora: experts });
  const hidden = gatherPositions(states, last); // [B, d]
  graph.output('logits', weights.head(hidden));
  graph.output('hidden', hidden);
  const [first, ...rest] = gating?.used ?? [];
  if (first !== undefined) {
    const all = gatherPositions(concat([first, ...rest], 2), last); // [B, L*E]
    graph.output('gates', reshape(all, [0, config.num_hidden_layers, -1]));
  }
  return graph.toModel();
}

/**
 * `clamp(router, gates_low, gates_high)` in every layer, or just `gates_low` without a router.
 * While the decoder is built, `used` collects each layer's gates `[B, T, E]`; without a router it
 * stays empty.
 */
function boundedGates(graph: Graph, { rank, layers, router }: ServingExperts, store: Store) {
  const experts = layers[0]!.a.shape[1]! / rank;
  const low = graph.input('gates_low', 'float', ['B', 1, experts]);
  const used: Value[] = [];
  if (router === null) {
    const spread = spreadGates(low, rank);
    return { gates: () => spread, used };
  }
  const high = graph.input('gates_high', 'float', ['B', 1, experts]);
  const gates = ({ layer, x }: ModuleInput) => {
    const wanted = routerGates(x, {
      weight: store(`router.${layer}.weight`, router[layer]?.weight),
      bias: store(`router.${layer}.bias`, router[layer]?.bias),
    });
    const held = min(max(wanted, low), high);
    used.push(held);
    return spreadGates(held, rank);
  };
  return { gates, used };
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
