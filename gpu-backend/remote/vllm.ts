/**
 * vLLM's `POST /v1/completions`: token ids in, one token out, with the log-probabilities of the
 * likeliest (docs.vllm.ai, "OpenAI-Compatible Server"; fields of 0.33). They are those of the model
 * itself, before temperature and penalties (`--logprobs-mode raw_logprobs`, its default), over the
 * whole vocabulary. `--max-logprobs` bounds how many (20 unless told).
 */
import * as z from 'zod';
import type { Dialect } from './remote-engine.ts';

/** `return_tokens_as_token_ids` makes every key of this form. */
const TOKEN_ID = /^token_id:(\d{1,9})$/;

/** JSON has no infinity: vLLM sends this for it. */
const MINUS_INFINITY = -9999;

const Answer = z.object({
  choices: z.tuple([
    z.object({ logprobs: z.object({ top_logprobs: z.tuple([z.record(z.string().regex(TOKEN_ID), z.number())]) }) }),
  ]),
});

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

export const VLLM: Dialect = {
  name: 'vllm',
  question: ({ ids, topK }, { model }) => ({
    path: '/v1/completions',
    body: {
      model,
      prompt: ids,
      max_tokens: 1,
      temperature: 0,
      logprobs: topK,
      return_tokens_as_token_ids: true,
      add_special_tokens: false,
      stream: false,
    },
  }),
  read: (answer) => {
    const [choice] = Answer.parse(answer).choices;
    const [top] = choice.logprobs.top_logprobs;
    return Object.entries(top).map(([key, logprob]) => [
      Number(key.slice('token_id:'.length)),
      logprob <= MINUS_INFINITY ? -Infinity : logprob,
    ]);
  },
  tokenize: {
    question: (text, { model }) => ({
      path: '/tokenize',
      body: { ...(model !== null && { model }), prompt: text, add_special_tokens: false },
    }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
};
