/**
 * `adapter_config.json`, as PEFT (https://github.com/huggingface/peft) saves a LoRA. The keys are
 * those of every `LoraConfig` so far, up to PEFT 0.20. Each is honoured, harmless or refused. A key
 * that is not here may change the mathematics, so it is refused too.
 */
import * as z from 'zod';

/** A value as an error shows it. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

/** A value that the schema accepts. For any other, the error says what was found and wanted. */
function value<T>(schema: z.ZodType<T>, wanted: string) {
  return z.unknown().transform((input, context): T => {
    const parsed = schema.safeParse(input);
    if (parsed.success) return parsed.data;
    context.addIssue(`found ${shown(input)}, wanted ${wanted}`);
    return z.NEVER;
  });
}

/** A key that only acts if it is switched on, and then does something we do not serve. */
const off = (schema: z.ZodType, wanted: string, because: string) =>
  value<unknown>(schema.nullish(), `${wanted}: ${because}`).optional();

const empty = z.union([z.array(z.never()), z.record(z.string(), z.never())]);
const no = z.literal(false);

/** A key that may have any value, and why it does not matter. */
const harmless = (because: string) => z.unknown().optional().describe(because);

const positive = z.number().positive();
const rank = z.int().min(1);
const layer = z.int().min(0);
const names = z.union([z.string(), z.array(z.string())]);

/**
 * Starting values that leave the base alone. The trained A and B then say all there is to say. The
 * others take a part out of the base, which the bundle's base still has.
 */
const PLAIN_STARTS = ['gaussian', 'eva', 'orthogonal', 'mica'];
const start = z.union([z.boolean(), z.null(), z.string().refine((name) => PLAIN_STARTS.includes(name.toLowerCase()))]);

const CHANGED_BASE =
  'this adapter belongs on a base that its initialisation changed. Convert it with ' +
  'save_pretrained(path_initial_model_for_weight_conversion=...), or put that base into the bundle';

const HONOURED = {
  peft_type: value(z.literal('LORA'), '"LORA"'),
  r: value(rank, 'a whole number of at least 1'),
  lora_alpha: value(positive, 'a number above 0'),
  use_rslora: value(z.boolean().nullish(), 'true or false').optional(),
  rank_pattern: value(z.record(z.string(), rank).nullish(), 'ranks of at least 1 by module').optional(),
  alpha_pattern: value(z.record(z.string(), positive).nullish(), 'numbers above 0 by module').optional(),
  target_modules: value(names, 'a list of module names, or a regular expression for them'),
  exclude_modules: value(names.nullish(), 'a list of module names, or a regular expression for them').optional(),
  layers_to_transform: value(
    z.union([layer.transform((one) => [one]), z.array(layer)]).nullish(),
    'the number of a layer, or a list of such numbers',
  ).optional(),
  layers_pattern: value(names.nullish(), 'the name of the list of layers').optional(),
  init_lora_weights: value(
    start.optional(),
    `true, false or one of ${PLAIN_STARTS.join(', ')}. Otherwise ${CHANGED_BASE} and set this to true`,
  ).optional(),
  base_model_name_or_path: value(z.string().nullish(), 'a name').optional(),
  peft_version: value(z.string().nullish(), 'a version').optional(),
};

const REFUSED = {
  bias: off(z.literal('none'), '"none"', "it also trains the base's biases"),
  fan_in_fan_out: off(no, 'false', 'weights of a Llama are never transposed'),
  modules_to_save: off(empty, 'null', 'only LoRA weights are served, no whole modules'),
  use_dora: off(no, 'false', "DoRA also rescales the base's weights"),
  use_qalora: off(no, 'false', 'QALoRA pools the input first'),
  use_bdlora: off(z.null(), 'null', 'the matrices of BD-LoRA are block-diagonal'),
  lora_bias: off(no, 'false', 'only the products with A and B are served'),
  target_parameters: off(empty, 'null', 'only modules are served'),
  trainable_token_indices: off(empty, 'null', 'the experts of a bundle share their embeddings'),
  layer_replication: off(empty, 'null', 'the experts of a bundle share their layers'),
  alora_invocation_tokens: off(empty, 'null', 'an expert acts on every token'),
  arrow_config: off(z.null(), 'null', 'Arrow routes between adapters'),
  kasa_config: off(z.null(), 'null', "KaSA also changes the base's weights"),
  monteclora_config: off(z.null(), 'null', 'MonteCLoRA draws the weights'),
  velora_config: off(z.null(), 'null', 'VeLoRA saves more than A and B'),
  megatron_config: off(z.null(), 'null', "Megatron's layers are not served"),
  enable_lora: off(z.null(), 'null', 'a Llama has no fused projections'),
  loftq_config: off(empty, 'null', `${CHANGED_BASE} and set this to null`),
  corda_config: off(empty, 'null', `${CHANGED_BASE} and set this to null`),
  lora_ga_config: off(empty, 'null', `${CHANGED_BASE} and set this to null`),
};

const HARMLESS = {
  task_type: harmless('says what the model is for'),
  auto_mapping: harmless('the class of the base in Python'),
  revision: harmless('which version of the base it was trained on'),
  inference_mode: harmless('whether PEFT lets it be trained further'),
  lora_dropout: harmless('dropout acts only in training'),
  merge_weights: harmless('a merged adapter computes the same'),
  megatron_core: harmless('the name of a Python module, used only with megatron_config'),
  qalora_group_size: harmless('used only with use_qalora'),
  eva_config: harmless('how EVA chose A at the start; the ranks it chose are in rank_pattern'),
  runtime_config: harmless('where PEFT computes, not what'),
  ensure_weight_tying: harmless('used only for embeddings, which no adapter here may change'),
};

/**
 * What becomes of each key. `docs/bundle.md` has the same table in words.
 * @public for the tests.
 */
export const ADAPTER_KEYS = {
  honoured: Object.keys(HONOURED),
  refused: Object.keys(REFUSED),
  harmless: Object.keys(HARMLESS),
};

export const AdapterConfig = z.strictObject(
  { ...HONOURED, ...REFUSED, ...HARMLESS },
  {
    error: ({ code, keys, input }) => {
      if (code !== 'unrecognized_keys') return `found ${shown(input)}, wanted an object`;
      const found = (keys as string[]).map((key) => `${key} ${shown((input as Record<string, unknown>)[key])}`);
      return `found ${found.join(', ')}, wanted only keys whose effect is known: remove it if it changes nothing`;
    },
  },
);
export type AdapterConfig = z.infer<typeof AdapterConfig>;
