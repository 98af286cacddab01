/**
 * Servers that speak the HTTP of vLLM, SGLang and llama.cpp's server as far as our dialects use it,
 * from those engines' documentation and source. They are no fakes of an answer: what they say comes
 * from experts that run here, so the numbers are true.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import * as z from 'zod';
import type { Experts } from '../../engine/experts.ts';
import { byId, feed } from '../../engine/testing/feed-experts.ts';
import type { ExpertRole } from '../../model/manifest.ts';

type Reply = { status?: number; body: unknown };
/** The ids that the engine's tokenizer makes of a text. */
type Encode = (text: string) => number[];
/** The log-probabilities of the token after these ids, likeliest first: [V]. */
type Next = (role: ExpertRole, ids: readonly number[]) => Promise<[id: number, logprob: number][]>;
/** What a server does with a request to its route for next tokens, and with a text to tokenize. */
export type Protocol = {
  path: string;
  answer: (body: unknown, next: Next) => Promise<Reply>;
  tokenize: (body: unknown, encode: Encode) => unknown;
};

const Prompt = z.object({ prompt: z.string(), add_special_tokens: z.literal(false) });
const tokensOf: Protocol['tokenize'] = (body, encode) => {
  const tokens = encode(Prompt.parse(body).prompt);
  return { count: tokens.length, max_model_len: 256, tokens };
};

/** vLLM's default for `--max-logprobs`. */
const VLLM_MOST_LOGPROBS = 20;

const Completion = z.object({
  model: z.enum(['safety', 'helpfulness']),
  prompt: z.array(z.int()).min(1),
  max_tokens: z.literal(1),
  temperature: z.literal(0),
  logprobs: z.int(),
  return_tokens_as_token_ids: z.literal(true),
});

const vllm: Protocol = {
  path: '/v1/completions',
  tokenize: tokensOf,
  answer: async (body, next) => {
    const { model, prompt, logprobs } = Completion.parse(body);
    if (logprobs > VLLM_MOST_LOGPROBS) {
      const message = `Requested sample logprobs of ${logprobs}, which is greater than max allowed: ${VLLM_MOST_LOGPROBS}`;
      return { status: 400, body: { error: { message, type: 'BadRequestError', param: null, code: 400 } } };
    }
    const all = await next(model, prompt);
    const top = all.slice(0, logprobs).map(([id, lp]): [string, number] => [`token_id:${id}`, Math.max(lp, -9999)]);
    return {
      body: {
        id: 'cmpl-1',
        object: 'text_completion',
        model,
        choices: [
          {
            index: 0,
            text: '',
            finish_reason: 'length',
            logprobs: {
              text_offset: [0],
              tokens: [top[0]![0]],
              token_logprobs: [top[0]![1]],
              top_logprobs: [Object.fromEntries(top)],
            },
          },
        ],
      },
    };
  },
};

const Generate = z.object({
  input_ids: z.array(z.int()).min(1),
  sampling_params: z.object({ max_new_tokens: z.literal(1), temperature: z.literal(0) }),
  return_logprob: z.literal(true),
  top_logprobs_num: z.int(),
  lora_path: z.enum(['safety', 'helpfulness']),
});

const sglang: Protocol = {
  path: '/generate',
  tokenize: tokensOf,
  answer: async (body, next) => {
    const { input_ids, top_logprobs_num, lora_path } = Generate.parse(body);
    const top = (await next(lora_path, input_ids)).slice(0, top_logprobs_num);
    const told = top.map(([id, logprob]) => [logprob, id, null]);
    return {
      body: {
        text: '',
        output_ids: [top[0]![0]],
        meta_info: {
          id: '1',
          finish_reason: { type: 'length', length: 1 },
          prompt_tokens: input_ids.length,
          completion_tokens: 1,
          cached_tokens: 0,
          output_token_logprobs: [told[0]],
          output_top_logprobs: [told],
        },
      },
    };
  },
};

const Completions = z.object({
  prompt: z.array(z.int()).min(1),
  n_predict: z.literal(1),
  n_probs: z.int(),
  post_sampling_probs: z.literal(false),
});

const Content = z.object({ content: z.string(), add_special: z.literal(false), parse_special: z.literal(false) });

/** One server an expert. */
const llamacpp = (role: ExpertRole): Protocol => ({
  path: '/completion',
  tokenize: (body, encode) => ({ tokens: encode(Content.parse(body).content) }),
  answer: async (body, next) => {
    const { prompt, n_probs } = Completions.parse(body);
    const top = (await next(role, prompt)).slice(0, n_probs);
    const told = top.map(([id, logprob]) => ({ id, token: '', bytes: [], logprob: Math.max(logprob, -1e30) }));
    return { body: { content: '', stop: true, completion_probabilities: [{ ...told[0], top_logprobs: told }] } };
  },
});

export const PROTOCOLS = { vllm: () => vllm, sglang: () => sglang, llamacpp };

/** Serves experts under a protocol. `close` ends it; they stay the caller's. */
export async function serveEngine(
  experts: Experts,
  { path, answer, tokenize }: Protocol,
  { encode = (text) => [...Buffer.from(text)] }: { encode?: Encode } = {},
): Promise<{ url: string; close: () => Promise<void> }> {
  const next: Next = async (role, ids) => {
    const sequence = experts.open(role);
    try {
      const { row } = await feed(experts, sequence, ids);
      return [...byId(row)].sort(([a, lpA], [b, lpB]) => lpB - lpA || a - b);
    } finally {
      experts.close(sequence);
    }
  };
  const routes: Readonly<Record<string, (body: unknown) => Promise<Reply>>> = {
    [path]: (body) => answer(body, next),
    '/tokenize': async (body) => ({ body: tokenize(body, encode) }),
  };
  const server = createServer(async (request, response) => {
    if (request.method === 'GET' && request.url === '/health') return void response.writeHead(200).end();
    const route = routes[request.url ?? ''];
    const { status = 200, body }: Reply =
      request.method === 'POST' && route !== undefined
        ? await json(request)
            .then(route)
            .catch((error: unknown) => ({ status: 500, body: { error: { message: String(error) } } }))
        : { status: 404, body: { detail: 'Not Found' } };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  const url = await listen(server);
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on a port has an address with one.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
