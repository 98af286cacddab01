import { expect, test } from 'vitest';
import { LLAMA_CPP } from './llama-cpp.ts';

const row = (id: number, logprob: number | null = -0.5) => ({ id, top_logprobs: [{ id, logprob }] });
const said = (ids: readonly number[]) => ids.map((id) => ({ id, row: [[id, -0.5]] }));

/** As the real server answers where a token is only the beginning of a character. */
test.each<[string, object, number[]]>([
  ['every token has one', { tokens: [4, 5, 6], completion_probabilities: [4, 5, 6].map((id) => row(id)) }, [4, 5, 6]],
  ['one in the middle has none', { tokens: [4, 5, 6], completion_probabilities: [row(4), row(6)] }, [4]],
  ['the first has none', { tokens: [4, 5], completion_probabilities: [row(5)] }, []],
  ['the last has none', { tokens: [4, 5], completion_probabilities: [row(4)] }, [4]],
  ['none has one', { tokens: [4] }, []],
])('a row belongs to its own token: %s', (_, answer, ids) => {
  expect(LLAMA_CPP.goOn.read(answer)).toEqual(said(ids));
});

test('a row that is wanted for itself comes with a token that is a whole character', () => {
  const asked = { model: null, topK: 3, cacheSalt: null };
  expect(LLAMA_CPP.rows.question({ ids: [1, 2], positions: 1 }, asked).body).toMatchObject({
    n_predict: 1,
    post_sampling_probs: false,
    logit_bias: [['!', 1e6]],
  });
  expect(LLAMA_CPP.goOn.question({ ids: [1], count: 4 }, asked).body).not.toHaveProperty('logit_bias');
  expect(() => LLAMA_CPP.rows.read({}, { positions: 1 })).toThrow(/completion_probabilities/);
  expect(LLAMA_CPP.rows.read({ completion_probabilities: [row(4, null)] }, { positions: 1 })).toEqual([
    [[4, -Infinity]],
  ]);
});
