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
 *
 * A token whose text is the beginning of a character (of an emoji, of Chinese) comes without
 * probabilities. Where we want the row and not the token, a bias makes the token a "!", which is
 * whole in every vocabulary; the probabilities are those before the bias.
 */
import * as z from 'zod';
import { type Asked, type Dialect, type IdLogprob, inOrder, prefixesOf } from './remote-engine.ts';

const Told = z.object({ id: z.int(), logprob: z.number().nullable() });
const Row = z.object({ id: z.int(), top_logprobs: z.array(Told) });

/** A row for each token, but for those whose text is only the beginning of a character. */
const Completion = z.object({
  /** Counts the prompts of one request. A server that leaves it out answers in their order. */
  index: z.int().optional(),
  completion_probabilities: z.array(Row).min(1),
});
const Continued = z.object({ completion_probabilities: z.array(Row).default([]), tokens: z.array(z.int()) });

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

/** All that were given with `--lora`. A scale of 0 leaves one out. */
const Adapters = z.array(z.object({ scale: z.number() }));

const body = (prompt: unknown, { topK, readsCache = true }: Asked, { n_predict }: { n_predict: number }) => ({
  prompt,
  n_predict,
  temperature: 0,
  n_probs: topK,
  post_sampling_probs: false,
  cache_prompt: readsCache,
  stream: false,
});

/** Beside these, an answer has the server's settings and the whole prompt as a text. */
const ROWS = 'completion_probabilities';

export const LLAMA_CPP = {
  name: 'llamacpp',
  canAskCold: true,
  rows: {
    question: (query, asked) => {
      const prompts = prefixesOf(query);
      const prompt = query.positions === 1 ? prompts[0] : prompts;
      const more = { logit_bias: [['!', 1e6]], response_fields: [ROWS, 'index'] };
      return { path: '/completion', body: { ...body(prompt, asked, { n_predict: 1 }), ...more } };
    },
    read: (answer, { positions }) => {
      const answers = positions === 1 ? [Completion.parse(answer)] : z.array(Completion).parse(answer);
      const isCounted = answers.some(({ index }) => index !== undefined);
      return (isCounted ? inOrder(answers, positions) : answers).map(({ completion_probabilities: [first] }) =>
        pairsOf(first!),
      );
    },
  },
  goOn: {
    question: ({ ids, count }, asked) => {
      const more = { return_tokens: true, response_fields: [ROWS, 'tokens'] };
      return { path: '/completion', body: { ...body(ids, asked, { n_predict: count }), ...more } };
    },
    read: (answer) => {
      const { completion_probabilities: rows, tokens } = Continued.parse(answer);
      // From the first token without a row on, rows stand at other places than their tokens.
      const missing = rows.findIndex(({ id }, i) => id !== tokens[i]);
      return rows.slice(0, missing === -1 ? rows.length : missing).map((row) => ({ id: row.id, row: pairsOf(row) }));
    },
  },
  tokenize: {
    question: (text) => ({ path: '/tokenize', body: { content: text, add_special: false, parse_special: true } }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
  adapters: {
    path: '/lora-adapters',
    read: (answer) => Adapters.parse(answer).filter(({ scale }) => scale !== 0).length,
  },
} satisfies Dialect;

// JSON has no infinity: the server sends null for it.
const pairsOf = ({ top_logprobs }: z.infer<typeof Row>): IdLogprob[] =>
  top_logprobs.map(({ id, logprob }) => [id, logprob ?? -Infinity]);
