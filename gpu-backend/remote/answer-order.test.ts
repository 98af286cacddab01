/** Answers to several prompts belong to the prompts that their indices name, or to none. */
import { expect, test } from 'vitest';
import { LLAMA_CPP } from './llama-cpp.ts';
import { openaiLogprobs } from './openai-logprobs.ts';
import { VLLM } from './vllm.ts';

const choice = (index: number, id = Math.abs(index)) => ({
  index,
  logprobs: { tokens: [`token_id:${id}`], top_logprobs: [{ [`token_id:${id}`]: -0.5 }] },
});
const completion = (id: number, index?: unknown) => ({
  ...(index !== undefined && { index }),
  completion_probabilities: [{ id, top_logprobs: [{ id, logprob: -0.5 }] }],
});
const rows = (...ids: number[]) => ids.map((id) => [[id, -0.5]]);
const openai = openaiLogprobs(() => undefined);

test.each([
  ['vllm', (indices: number[]) => VLLM.rows.read({ choices: indices.map((i) => choice(i)) }, { positions: 3 })],
  [
    'llama.cpp',
    (indices: number[]) =>
      LLAMA_CPP.rows.read(
        indices.map((i) => completion(i, i)),
        { positions: 3 },
      ),
  ],
] as const)('%s: prompts are counted from 0, in any order; anything else is refused', (_, read) => {
  expect(read([2, 0, 1])).toEqual(rows(0, 1, 2));
  for (const indices of [
    [0, 0, 1],
    [1, 2, 3],
    [-1, 0, 1],
    [0, 1, 5],
    [0, 1],
    [0, 1, 2, 3],
  ]) {
    expect(() => read(indices)).toThrow(/index/);
  }
});

test('one prompt has the index 0', () => {
  expect(VLLM.rows.read({ choices: [choice(0, 7)] }, { positions: 1 })).toEqual(rows(7));
  expect(LLAMA_CPP.rows.read(completion(7, 0), { positions: 1 })).toEqual(rows(7));
  for (const dialect of [VLLM, openai]) {
    expect(() => dialect.rows.read({ choices: [choice(1)] }, { positions: 1 })).toThrow(/index/);
    expect(() => dialect.rows.read({ choices: [choice(0), choice(1)] }, { positions: 1 })).toThrow(/index/);
  }
  expect(() => LLAMA_CPP.rows.read(completion(7, 1), { positions: 1 })).toThrow(/index/);
  expect(() => VLLM.goOn!.read({ choices: [choice(1)] })).toThrow(/index/);
});

test('llama.cpp is asked for indices, and answers without any are in the order of prompts', () => {
  const asked = { model: null, topK: 3, cacheSalt: null };
  const { body } = LLAMA_CPP.rows.question({ ids: [1, 2], positions: 2 }, asked);
  expect(body).toMatchObject({ response_fields: ['completion_probabilities', 'index'] });
  expect(LLAMA_CPP.rows.read([completion(4), completion(2)], { positions: 2 })).toEqual(rows(4, 2));
  expect(LLAMA_CPP.rows.read(completion(4), { positions: 1 })).toEqual(rows(4));
  expect(() => LLAMA_CPP.rows.read([completion(4), completion(2, 0)], { positions: 2 })).toThrow(/index/);
});
