/**
 * `POST /completion` of llama.cpp's server: token ids in, tokens out, with the probabilities of the
 * likeliest before any sampler (tools/server/README.md of llama.cpp).
 *
 * One server an expert: keys and values that were cached under one adapter are used again under
 * another (llama.cpp#26207). So a server has its adapter from its start (`--lora`), and no question
 * names one.
 *
 * Several positions are several prompts of one request, and the answer is an array then. Each is a
 * task of its own: they run in one slot one after another, or in several slots that each read the
 * whole prompt. So a gate node asks for one position unless it is told otherwise.
 */
import * as z from 'zod';
import { type Asked, type Dialect, type IdLogprob, prefixesOf } from './remote-engine.ts';

const Told = z.object({ id: z.int(), logprob: z.number().nullable() });
const Row = z.object({ id: z.int(), top_logprobs: z.array(Told) });

const Completion = z.object({ completion_probabilities: z.array(Row).min(1) });

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

const body = (prompt: unknown, { topK }: Asked, { n_predict }: { n_predict: number }) => ({
  prompt,
  n_predict,
  temperature: 0,
  n_probs: topK,
  post_sampling_probs: false,
  cache_prompt: true,
  stream: false,
});

export const LLAMA_CPP: Dialect = {
  name: 'llamacpp',
  rows: {
    question: (query, asked) => {
      const prompts = prefixesOf(query);
      return { path: '/completion', body: body(query.positions === 1 ? prompts[0] : prompts, asked, { n_predict: 1 }) };
    },
    read: (answer, { positions }) => {
      const answers = positions === 1 ? [Completion.parse(answer)] : z.array(Completion).parse(answer);
      return answers.map(({ completion_probabilities: [first] }) => pairsOf(first!));
    },
  },
  goOn: {
    question: ({ ids, count }, asked) => ({ path: '/completion', body: body(ids, asked, { n_predict: count }) }),
    read: (answer) =>
      Completion.parse(answer).completion_probabilities.map((row) => ({ id: row.id, row: pairsOf(row) })),
  },
  tokenize: {
    question: (text) => ({ path: '/tokenize', body: { content: text, add_special: false, parse_special: false } }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
};

// JSON has no infinity: the server sends null for it.
const pairsOf = ({ top_logprobs }: z.infer<typeof Row>): IdLogprob[] =>
  top_logprobs.map(({ id, logprob }) => [id, logprob ?? -Infinity]);
