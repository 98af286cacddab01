/**
 * The decoder again, written as plainly as possible, and slow: one token after another, plain
 * arrays of float64, weights as the bundle holds them. It shares nothing with decoder.ts, and does
 * not ask for the family: it adds a bias and applies a norm wherever the bundle has one. Tests
 * compare the serving graph with it.
 */
import type { Bundle } from '../load-bundle.ts';
import type { ExpertRole } from '../manifest.ts';
import type { Rope } from '../rope.ts';
import type { RouterGate } from '../router.ts';
import type { Tensor } from '../tensor.ts';

/**
 * How much of each expert a module adds for a token, given h, the module's input. For
 * `mlp.down_proj` that is the MLP's activation [F]. x [d] is what enters the layer.
 */
type Gates = Record<ExpertRole, number>;
type At = { layer: number; position: number; x: number[] };
export type GatesAt = (at: At & { module: string; h: number[] }) => Gates;

export type SlowOutput = {
  logits: number[];
  hidden: number[];
  gates: Gates[];
  /** Of each token, what each layer leaves, before any norm: [T, L, d]. */
  states: number[][][];
};

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const plus = (a: number[], b: number[]) => a.map((x, i) => x + b[i]!);

/** `W x` for `W [out, in]`. */
function times({ shape, data }: Tensor, x: number[]): number[] {
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => dot(data.subarray(i * columns, (i + 1) * columns), x));
}

function rmsNorm(x: number[], weight: Tensor, epsilon: number): number[] {
  const rms = Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((value, i) => (value / rms) * weight.data[i]!);
}

function softmax(xs: number[]): number[] {
  const most = Math.max(...xs);
  const exps = xs.map((x) => Math.exp(x - most));
  const sum = exps.reduce((a, b) => a + b);
  return exps.map((x) => x / sum);
}

/**
 * The angle per position of each pair of dimensions, as Transformers documents it, in terms of wave
 * lengths: the number of positions after which an angle is back where it was.
 */
export function slowFrequencies({ rope_theta: theta, rope_scaling: scaling }: Rope, size: number): number[] {
  return Array.from({ length: size / 2 }, (_, i) => {
    const frequency = 1 / theta ** ((2 * i) / size);
    if (scaling == null) return frequency;
    if (scaling.rope_type === 'linear') return frequency / scaling.factor;
    const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: old } = scaling;
    const wave = (2 * Math.PI) / frequency;
    if (wave < old / high) return frequency;
    if (wave > old / low) return frequency / factor;
    const smooth = (old / wave - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** One head, rotated by the angles of its position: dimension i with i + size / 2. */
function rotated(head: number[], frequencies: readonly number[], position: number): number[] {
  const half = head.length / 2;
  return head.map((value, i) => {
    const angle = position * frequencies[i % half]!;
    return value * Math.cos(angle) + (i < half ? -head[i + half]! : head[i - half]!) * Math.sin(angle);
  });
}

const chunks = (x: number[], size: number) =>
  Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));

/** The base's MLP before down_proj: `silu(W_gate x) * (W_up x)`, [d] -> [F]. */
export function slowActivation({ weights }: Pick<Bundle, 'weights'>, { layer, x }: { layer: number; x: number[] }) {
  const projected = (name: string) => times(weights.get(`model.layers.${layer}.mlp.${name}.weight`)!, x);
  return swiglu(projected('gate_proj'), projected('up_proj'));
}

const swiglu = (gate: number[], up: number[]) => gate.map((value, i) => value * sigmoid(value) * up[i]!);

/** MidPO's gate: sigmoid(w.h + b). */
export const gateOf = ({ weight, bias }: RouterGate, h: number[]) => sigmoid(dot(weight, h) + bias);

/**
 * After the last of `ids`: logits [V], the final-norm hidden state [d], and the gates that each
 * layer's down_proj used there.
 */
export function slowDecoder(bundle: Bundle, ids: readonly number[], gatesAt: GatesAt): SlowOutput {
  const { config, weights, experts } = bundle;
  const size = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  const frequencies = slowFrequencies(config, size);
  const group = config.num_attention_heads / config.num_key_value_heads;
  const embedding = chunks(Array.from(weights.get('model.embed_tokens.weight')!.data), config.hidden_size);
  const cache = Array.from({ length: config.num_hidden_layers }, () => ({
    keys: [] as number[][][],
    values: [] as number[][][],
  }));
  const states: number[][][] = [];
  let last: SlowOutput | undefined;
  for (const [position, id] of ids.entries()) {
    let x = embedding[id]!;
    const gates: Gates[] = [];
    const left: number[][] = [];
    for (const [layer, { keys, values }] of cache.entries()) {
      const weight = (name: string) => weights.get(`model.layers.${layer}.${name}.weight`)!;
      const layerInput = x;
      const layerGates = (module: string, h: number[]) => gatesAt({ layer, position, module, h, x: layerInput });
      /** `W h`, and what the experts add to it. */
      const linear = (module: string, h: number[], shares?: Gates) => {
        let y = times(weight(module), h);
        for (const { role, modules } of experts) {
          const lora = modules.get(`model.layers.${layer}.${module}`);
          if (lora === undefined) continue;
          const change = times(lora.b, times(lora.a, h));
          const share = lora.scale * (shares ?? layerGates(module, h))[role];
          y = plus(
            y,
            change.map((value) => share * value),
          );
        }
        return y;
      };
      const a = rmsNorm(x, weight('input_layernorm'), config.rms_norm_eps);
      const heads = (name: string) => {
        const projected = linear(`self_attn.${name}_proj`, a);
        const bias = weights.get(`model.layers.${layer}.self_attn.${name}_proj.bias`);
        return chunks(bias === undefined ? projected : plus(projected, Array.from(bias.data)), size);
      };
      const turned = (name: string) =>
        heads(name).map((head) => {
          const norm = weights.get(`model.layers.${layer}.self_attn.${name}_norm.weight`);
          const normed = norm === undefined ? head : rmsNorm(head, norm, config.rms_norm_eps);
          return rotated(normed, frequencies, position);
        });
      const queries = turned('q');
      keys.push(turned('k'));
      values.push(heads('v'));
      // Mistral's token sees itself and the window - 1 tokens before it.
      const first = config.sliding_window == null ? 0 : Math.max(0, position - config.sliding_window + 1);
      const attended = queries.flatMap((query, head) => {
        const kv = Math.floor(head / group);
        const shares = softmax(keys.slice(first).map((key) => dot(query, key[kv]!) / Math.sqrt(size)));
        return Array.from({ length: size }, (_, i) =>
          dot(
            shares,
            values.slice(first).map((value) => value[kv]![i]!),
          ),
        );
      });
      x = plus(x, linear('self_attn.o_proj', attended));

      const b = rmsNorm(x, weight('post_attention_layernorm'), config.rms_norm_eps);
      const h = swiglu(linear('mlp.gate_proj', b), linear('mlp.up_proj', b));
      const used = layerGates('mlp.down_proj', h);
      gates.push(used);
      x = plus(x, linear('mlp.down_proj', h, used));
      left.push(x);
    }
    const hidden = rmsNorm(x, weights.get('model.norm.weight')!, config.rms_norm_eps);
    const head = weights.get(config.tie_word_embeddings ? 'model.embed_tokens.weight' : 'lm_head.weight')!;
    states.push(left);
    last = { logits: times(head, hidden), hidden, gates, states };
  }
  if (last === undefined) throw new Error('a prompt of no tokens has no prediction');
  return last;
}
