/**
 * Refuses, by name, what a request asks for and this server cannot do: to leave it out in silence
 * would give a wrong answer.
 */
import { PlimsollError } from './errors.ts';
import { describeFound } from './invalid-request.ts';

/**
 * For each field, the values that ask for nothing: `empty` is any list or object without entries, a
 * list has them all, and an object is one that has these entries. `never`: the field itself is not
 * supported. Null always asks for nothing.
 */
export type Unsupported = Readonly<
  Record<
    string,
    'never' | { neutral: 'empty' | readonly unknown[] | Readonly<Record<string, string>>; expected: string }
  >
>;

/** What vLLM takes and this server does not. */
export const VLLM_UNSUPPORTED: Unsupported = {
  guided_regex: 'never',
  guided_choice: 'never',
  guided_grammar: 'never',
  structural_tag: 'never',
  chat_template: 'never',
  chat_template_kwargs: { neutral: 'empty', expected: 'an empty object' },
  documents: { neutral: 'empty', expected: 'no documents' },
  // They change what the model reads.
  add_generation_prompt: { neutral: [true], expected: 'true' },
  transforms: { neutral: 'empty', expected: 'an empty list' },
  continue_final_message: { neutral: [false], expected: 'false' },
  add_special_tokens: { neutral: [false], expected: 'false' },
  use_beam_search: { neutral: [false], expected: 'false' },
  length_penalty: { neutral: [1], expected: '1' },
  stop_token_ids: { neutral: 'empty', expected: 'no ids; use stop' },
  include_stop_str_in_output: { neutral: [false], expected: 'false' },
  bad_words: { neutral: 'empty', expected: 'no words; use logit_bias' },
  prompt_logprobs: 'never',
  return_tokens_as_token_ids: { neutral: [false], expected: 'false' },
  truncate_prompt_tokens: 'never',
  logits_processors: { neutral: 'empty', expected: 'no processors' },
};

/** Throws `unsupported_value`, or `unsupported_parameter` where no value is supported. */
export function refuseUnsupported(body: unknown, table: Unsupported, prefix = ''): void {
  if (typeof body !== 'object' || body === null) return;
  for (const [field, rule] of Object.entries(table)) {
    // The cast: any object may be read by names.
    const value = (body as Readonly<Record<string, unknown>>)[field];
    if (value === undefined || value === null || (rule !== 'never' && isNeutral(value, rule.neutral))) continue;
    const expected = rule === 'never' ? 'the field left out' : rule.expected;
    const param = `${prefix}${field}`;
    throw new PlimsollError(
      rule === 'never' ? 'unsupported_parameter' : 'unsupported_value',
      `'${param}' is not supported by this server: expected ${expected}, found ${describeFound(value)}.`,
      { param },
    );
  }
}

function isNeutral(value: unknown, neutral: 'empty' | readonly unknown[] | Readonly<Record<string, string>>): boolean {
  if (neutral === 'empty') return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  if (Array.isArray(neutral)) return neutral.some((one) => JSON.stringify(one) === JSON.stringify(value));
  if (typeof value !== 'object' || value === null) return false;
  const found = new Map(Object.entries(value));
  return Object.entries(neutral).every(([name, wanted]) => found.get(name) === wanted);
}
