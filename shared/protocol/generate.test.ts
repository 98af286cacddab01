import { describe, expect, test } from 'vitest';
import { type GenerateBody, GenerateRequest, Seed } from './generate.ts';

const plain: GenerateBody = {
  model: 'm',
  messages: [{ role: 'user', content: 'hi' }],
  max_tokens: 8,
  stop: [],
  seed: 1,
  temperature: 1,
  top_p: 1,
};
const problemsOf = (changes: object) =>
  GenerateRequest.safeParse({ ...plain, ...changes }).error?.issues.map(({ path }) => path.join('.')) ?? [];

test('what is left out is neutral', () => {
  expect(GenerateRequest.parse(plain)).toEqual({
    ...plain,
    prompt: null,
    tools: [],
    top_k: 0,
    min_p: 0,
    presence_penalty: 0,
    frequency_penalty: 0,
    repetition_penalty: 1,
    logit_bias: {},
    allowed_token_ids: null,
    grammar: null,
    min_tokens: 0,
    ignore_eos: false,
    n: 1,
    logprobs: false,
    top_logprobs: 0,
    expert_logprobs: false,
    echo: false,
  });
});

test.each<[string, GenerateBody[keyof GenerateBody][], unknown[]]>([
  ['top_k', [0, 1, 1e6], [-1, 0.5, null]],
  ['min_p', [0, 0.5, 1], [-0.1, 1.1]],
  ['presence_penalty', [-2, 0, 2], [-2.1, 2.1, Number.NaN]],
  ['frequency_penalty', [-2, 0, 2], [-2.1, 2.1]],
  ['repetition_penalty', [0.1, 1, 2], [0, -1, 2.1]],
  ['logit_bias', [{}, { 0: -100, 49151: 100 }], [{ '01': 1 }, { a: 1 }, { '-1': 1 }, { 5: 100.5 }, []]],
  ['allowed_token_ids', [null, [0], [5, 5, 6]], [[], [-1], [1.5]]],
  [
    'grammar',
    [null, { type: 'json_object' }, { type: 'sequence', parts: [{ type: 'literal', text: 'a' }] }],
    [{}, 'json', { type: 'json_object', more: 1 }, { type: 'sequence', parts: [] }, { type: 'choice', options: [1] }],
  ],
  ['min_tokens', [0, 8], [-1, 9]],
  ['n', [1, 128], [0, 129, 1.5]],
  ['top_logprobs', [0], [1, 21, -1]],
])('takes %s in its range and nothing else', (name, taken, refused) => {
  for (const value of taken) expect(problemsOf({ [name]: value })).toEqual([]);
  for (const value of refused) expect(problemsOf({ [name]: value }).join()).toMatch(new RegExp(`^${name}`));
});

test('parameters that contradict each other are refused by name', () => {
  expect(problemsOf({ grammar: { type: 'json_object' }, allowed_token_ids: [1] })).toEqual(['allowed_token_ids']);
  expect(problemsOf({ logprobs: true, top_logprobs: 20 })).toEqual([]);
  expect(problemsOf({ max_tokens: null, min_tokens: 1e6 })).toEqual([]);
  expect(problemsOf({ top_logprobs: 1 })).toEqual(['top_logprobs']);
  expect(problemsOf({ logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1])) })).toEqual([
    'logit_bias',
  ]);
  const ids = (length: number) => ({ allowed_token_ids: Array.from({ length }, (_, id) => id) });
  expect(problemsOf(ids(300_000))).toEqual([]);
  expect(problemsOf(ids(300_001))).toEqual(['allowed_token_ids']);
});

describe('a seed', () => {
  test.each([
    0,
    -1,
    2 ** 53 - 1,
    -(2 ** 53) + 1,
    '9007199254740992',
    '-9007199254740992',
    '9223372036854775807',
    '-9223372036854775808',
  ])('may be %s', (seed) => {
    expect(Seed.parse(seed)).toBe(seed);
  });

  test.each([
    2 ** 53,
    1.5,
    '1',
    '9007199254740991',
    '9223372036854775808',
    '-9223372036854775809',
    '9999999999999999999',
    '09007199254740992',
    '+9007199254740992',
    '1e18',
    null,
  ])('may not be %s: each seed has one form', (seed) => {
    expect(Seed.safeParse(seed).success).toBe(false);
  });
});
