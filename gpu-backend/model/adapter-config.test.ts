import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ADAPTER_KEYS, AdapterConfig } from './adapter-config.ts';

/** As PEFT 0.20 saves `LoraConfig(target_modules=['down_proj'], task_type='CAUSAL_LM')`. */
const SAVED = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0.05,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.20.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: ['down_proj'],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

/** The fields that `LoraConfig` and `PeftConfig` once had, or have without saving them. */
const ELSEWHERE = ['enable_lora', 'merge_weights', 'runtime_config'];

function problems(config: object): string[] {
  const { error } = AdapterConfig.safeParse(config);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

test('reads what PEFT saves, and the least that PEFT needs', () => {
  expect(problems(SAVED)).toEqual([]);
  expect(problems({ peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: 'all-linear' })).toEqual([]);
});

test('each key that PEFT ever saved has one fate', () => {
  const { honoured, refused, harmless } = ADAPTER_KEYS;
  expect([...honoured, ...refused, ...harmless].sort()).toEqual([...Object.keys(SAVED), ...ELSEWHERE].sort());
});

test('docs/bundle.md tells the fate of each key', async () => {
  const docs = await readFile(new URL('../../docs/bundle.md', import.meta.url), 'utf8');
  const section = docs.slice(docs.indexOf('## Experts'), docs.indexOf('## plimsoll.json'));
  const missing = Object.values(ADAPTER_KEYS)
    .flat()
    .filter((key) => !section.includes(`\`${key}\``));
  expect(missing).toEqual([]);
});

test('says what was found, what was wanted and why, for every wrong key at once', () => {
  expect(problems({ ...SAVED, r: 0, use_dora: true, bias: 'all', trainable_token_indices: [7] })).toEqual([
    'r: found 0, wanted a whole number of at least 1',
    `bias: found "all", wanted "none": it also trains the base's biases`,
    `use_dora: found true, wanted false: DoRA also rescales the base's weights`,
    'trainable_token_indices: found [7], wanted null: the experts of a bundle share their embeddings',
  ]);
  const { lora_alpha: _, ...rest } = SAVED;
  expect(problems(rest)).toEqual(['lora_alpha: found nothing, wanted a number above 0']);
  expect(problems([])).toEqual([': found [], wanted an object']);
});

describe('init_lora_weights', () => {
  const problemsOf = (init_lora_weights: unknown) => problems({ ...SAVED, init_lora_weights });

  test.each([true, false, null, undefined, 'gaussian', 'Gaussian', 'eva', 'orthogonal', 'mica'])(
    'may be %s, which leaves the base as it is',
    (start) => expect(problemsOf(start)).toEqual([]),
  );

  test.each(['pissa', 'pissa_niter_16', 'olora', 'OLoRA', 'corda', 'loftq', 'lora_ga', 'a later one', 1, {}])(
    'may not be %s, which changes the base or is not known',
    (start) => {
      const [problem, ...more] = problemsOf(start);
      expect(more).toEqual([]);
      expect(problem).toContain(
        `init_lora_weights: found ${JSON.stringify(start)}, wanted true, false or one of gaussian`,
      );
      expect(problem).toContain('path_initial_model_for_weight_conversion');
    },
  );
});

const json = fc.jsonValue({ maxDepth: 2 });
/** Errors cut long values short. */
const start = (value: unknown) => JSON.stringify(value).slice(0, 200);

test('harmless keys may have any value', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ADAPTER_KEYS.harmless), json, (key, value) => {
      expect(problems({ ...SAVED, [key]: value })).toEqual([]);
    }),
  );
});

test('the other switches are refused by name unless they are off', () => {
  const off = (value: unknown, key: string) =>
    value === null ||
    value === (key === 'bias' ? 'none' : false) ||
    (typeof value === 'object' && Object.keys(value).length === 0);
  fc.assert(
    fc.property(fc.constantFrom(...ADAPTER_KEYS.refused), json, (key, value) => {
      fc.pre(!off(value, key));
      const [problem, ...more] = problems({ ...SAVED, [key]: value });
      expect(problem).toContain(`${key}: found ${start(value)}`);
      expect(more).toEqual([]);
    }),
  );
});

test('an unknown key is refused by name, with its value', () => {
  const known = new Set(Object.values(ADAPTER_KEYS).flat());
  fc.assert(
    fc.property(
      fc.string().filter((key) => !known.has(key) && key !== '__proto__'),
      json,
      (key, value) => {
        const [problem, ...more] = problems({ ...SAVED, [key]: value });
        expect(problem).toContain(`: found ${key} ${start(value)}`);
        expect(problem).toContain('wanted only keys whose effect is known: remove it if it changes nothing');
        expect(more).toEqual([]);
      },
    ),
  );
});
