/**
 * `POST /completion` of llama.cpp's server: token ids in, one token out, with the probabilities of
 * the likeliest before any sampler (tools/server/README.md of llama.cpp).
 *
 * One server an expert: keys and values that were cached under one adapter are used again under
 * another (llama.cpp#26207). So a server has its adapter from its start (`--lora`), and no question
 * names one.
 */
import * as z from 'zod';
import type { Dialect } from './remote-engine.ts';

const Told = z.object({ id: z.int(), logprob: z.number().nullable() });

const Answer = z.object({
  completion_probabilities: z.tuple([z.object({ top_logprobs: z.array(Told) })]),
});

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

export const LLAMA_CPP: Dialect = {
  name: 'llamacpp',
  question: ({ ids, topK }) => ({
    path: '/completion',
    body: {
      prompt: ids,
      n_predict: 1,
      temperature: 0,
      n_probs: topK,
      post_sampling_probs: false,
      cache_prompt: true,
      stream: false,
    },
  }),
  read: (answer) => {
    const [first] = Answer.parse(answer).completion_probabilities;
    // JSON has no infinity: the server sends null for it.
    return first.top_logprobs.map(({ id, logprob }) => [id, logprob ?? -Infinity]);
  },
  tokenize: {
    question: (text) => ({ path: '/tokenize', body: { content: text, add_special: false, parse_special: false } }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
};
