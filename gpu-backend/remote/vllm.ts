/**
 * vLLM's `POST /v1/completions`: token ids in, tokens out, with the log-probabilities of the
 * likeliest (docs.vllm.ai, "OpenAI-Compatible Server"; fields of 0.33). They are those of the model
 * itself, before temperature and penalties (`--logprobs-mode raw_logprobs`, its default), over the
 * whole vocabulary. `--max-logprobs` bounds how many (20 unless told).
 *
 * Several positions are several prompts of one request, each a token longer than the one before,
 * and all but their last block is in the prefix cache. `prompt_logprobs` would be one prompt, but a
 * request with it does not read that cache (it computes the whole prompt again), it tells the
 * likeliest tokens of the whole prompt, and what it says of cached positions depends on earlier
 * requests (vllm#42019).
 */
import * as z from 'zod';
import { adaptersOf } from './model-cards.ts';
import { type Asked, type Dialect, type IdLogprob, inOrder, prefixesOf } from './remote-engine.ts';

/** `return_tokens_as_token_ids` makes every key of this form. */
const TOKEN_ID = /^token_id:(\d{1,9})$/;
const TokenId = z.string().regex(TOKEN_ID);

/** JSON has no infinity: vLLM sends this for it. */
const MINUS_INFINITY = -9999;

const Choice = z.object({
  index: z.int(),
  logprobs: z.object({
    tokens: z.array(TokenId).min(1),
    top_logprobs: z.array(z.record(TokenId, z.number())).min(1),
  }),
});

const Answer = z.object({ choices: z.array(Choice).min(1) });

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

const body = (prompt: unknown, { model, topK, cacheSalt }: Asked, more: { max_tokens: number }) => ({
  model,
  prompt,
  ...more,
  temperature: 0,
  // What is left out comes from the model's own generation_config.json, and would act on drafts.
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  logprobs: topK,
  return_tokens_as_token_ids: true,
  add_special_tokens: false,
  stream: false,
  ...(cacheSalt !== null && { cache_salt: cacheSalt }),
});

export const VLLM: Dialect = {
  name: 'vllm',
  canAskCold: true,
  rows: {
    question: (query, asked) => {
      const prompts = prefixesOf(query);
      return {
        path: '/v1/completions',
        body: body(query.positions === 1 ? prompts[0] : prompts, asked, { max_tokens: 1 }),
      };
    },
    read: (answer, { positions }) => {
      const { choices } = Answer.parse(answer);
      return inOrder(choices, positions).map(({ logprobs }) => pairsOf(logprobs.top_logprobs[0]!));
    },
  },
  goOn: {
    // The token that ends an answer is a token like any other here.
    question: ({ ids, count }, asked) => ({
      path: '/v1/completions',
      body: { ...body(ids, asked, { max_tokens: count }), ignore_eos: true },
    }),
    read: (answer) => {
      const [only] = inOrder(Answer.parse(answer).choices, 1);
      const { tokens, top_logprobs: rows } = only!.logprobs;
      return tokens.slice(0, rows.length).map((token, i) => ({ id: idOf(token), row: pairsOf(rows[i]!) }));
    },
  },
  tokenize: {
    question: (text, { model }) => ({
      path: '/tokenize',
      body: { ...(model !== null && { model }), prompt: text, add_special_tokens: false },
    }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
  adapters: { path: '/v1/models', read: adaptersOf },
};

const idOf = (key: string) => Number(key.slice('token_id:'.length));

function pairsOf(top: Readonly<Record<string, number>>): IdLogprob[] {
  return Object.entries(top).map(([key, logprob]) => [idOf(key), logprob <= MINUS_INFINITY ? -Infinity : logprob]);
}
