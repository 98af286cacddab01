/**
 * What becomes of the keys of `config.json` that `config.ts` does not read as numbers of the model.
 * A key that we skip although it changes the arithmetic would give a model that answers, but
 * wrongly. So every key is one of three:
 *
 * - **fixed**: it names arithmetic, and we compute one case of it. Any other value is refused.
 * - **harmless**: it is about training, generation or Transformers itself.
 * - **unknown**: harmless too, unless a word in its name speaks of arithmetic (`ARITHMETIC`). Then
 *   it is refused, whatever its value except null, `{}` and `[]`. Not even `false` passes, because
 *   `use_rope: false` would change everything. A wrong refusal costs an edit of the file; a wrong
 *   pass costs silently wrong answers.
 */
import type { Family } from './families.ts';

/** The values we compute, for keys that name arithmetic. null and a missing key are always fine. */
const FIXED: Record<string, readonly unknown[]> = {
  hidden_act: ['silu'],
  mlp_bias: [false],
  // Biases.
  bias: [false],
  use_bias: [false],
  // Attention.
  use_sliding_window: [false],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  use_qk_norm: [false],
  qk_layernorm: [false],
  is_causal: [true],
  add_cross_attention: [false],
  cross_attention_hidden_size: [],
  is_encoder_decoder: [false],
  pruned_heads: [],
  // Rotary positions, besides what read-rope.ts reads.
  rope_interleaved: [false],
  use_mrope: [false],
  // Mixtures of experts.
  num_local_experts: [],
  num_experts: [],
  num_experts_per_tok: [],
  n_routed_experts: [],
  n_shared_experts: [],
  // Weights in another form, and models that come with their own code.
  quantization_config: [],
  compression_config: [],
  auto_map: [],
};

/** Known keys that only sound like arithmetic. */
const HARMLESS = new Set([
  '_attn_implementation',
  '_attn_implementation_autoset',
  '_flash_attn_2_enabled',
  'attn_implementation',
  // Dropout is for training, and our training has none.
  'attention_dropout',
  'attn_pdrop',
  'hidden_dropout',
  'mlp_dropout',
  // Counts only with use_sliding_window, which is refused.
  'max_window_layers',
  'output_attentions',
  'output_hidden_states',
]);

const ARITHMETIC = new RegExp(
  [
    'rope|rotary|position|alibi|scal|multiplier|factor|bias|norm|activation|expert|moe|router|window|sliding|sparse',
    'attention|attn|query|head|hidden|layer|residual|embed|logit|softcap|quant|compress',
    // These are too short to look for inside other words.
    '(^|_)(act|qk|kv|mlp|ffn|bits)(_|$)',
  ].join('|'),
);

/** A value for an error message, in JSON, cut if it is long. */
export function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

export type KeyProblem = { key: string; message: string };

const isEmpty = (value: unknown) =>
  value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0);

/** The keys that must be refused, of those that nobody else has read. */
export function refusedKeys(
  raw: Readonly<Record<string, unknown>>,
  { family, read }: { family: Family; read: ReadonlySet<string> },
): KeyProblem[] {
  // Transformers computes Qwen2's biases without asking this key, so it may only agree.
  const fixed: typeof FIXED = { ...FIXED, attention_bias: [family.qkvBias] };
  const problems: KeyProblem[] = [];
  for (const [key, value] of Object.entries(raw)) {
    if (read.has(key) || HARMLESS.has(key) || isEmpty(value)) continue;
    if (Object.hasOwn(fixed, key)) {
      const allowed = fixed[key]!;
      if (!allowed.includes(value)) {
        problems.push({
          key,
          message: `found ${show(value)}, wanted ${allowed.map(show)[0] ?? 'null or no such key'}`,
        });
      }
    } else if (ARITHMETIC.test(key)) {
      const why = 'its name speaks of arithmetic that we do not know';
      problems.push({ key, message: `found ${show(value)}, wanted no such key: ${why}` });
    }
  }
  return problems;
}
