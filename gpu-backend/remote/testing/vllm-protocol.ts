/**
 * vLLM's `POST /v1/completions`, `POST /tokenize` and `GET /v1/models`
 * (vllm/entrypoints/openai/completion/protocol.py and serving.py, models/serving.py). `prompt` is
 * one list of ids or several; choices come in the order of prompts, and `index` counts them.
 * Unknown fields are ignored. A row holds the token that was sampled, first, and the k likeliest.
 * Log-probabilities below -9999 are told as that.
 */
import * as z from 'zod';
import type { Protocol, Reply, Told } from './engine-servers.ts';
import { sayGreedily } from './say-greedily.ts';

/** vLLM's default for `--max-logprobs`. */
const MOST_LOGPROBS = 20;
const CONTEXT = 4096;

const Ids = z.array(z.int().min(0)).min(1);

const Completion = z.object({
  model: z.string(),
  prompt: z.union([Ids, z.array(Ids).min(1)]),
  max_tokens: z.int().min(1).default(16),
  temperature: z.literal(0),
  logprobs: z.int(),
  return_tokens_as_token_ids: z.literal(true),
  ignore_eos: z.boolean().default(false),
  cache_salt: z.string().min(1).max(1024).nullish(),
});

const ADAPTERS = ['safety', 'helpfulness'] as const;

function refuse(status: number, message: string, type = 'BadRequestError'): Reply {
  return { status, body: { error: { message, type, param: null, code: status } } };
}

const Prompt = z.object({ prompt: z.string(), add_special_tokens: z.literal(false) });

export const VLLM_PROTOCOL: Protocol = {
  path: '/v1/completions',
  tokenize: (body, encode) => {
    const tokens = encode(Prompt.parse(body).prompt);
    return { count: tokens.length, max_model_len: CONTEXT, tokens };
  },
  told: {
    '/v1/models': {
      object: 'list',
      data: [
        { id: 'base', object: 'model', owned_by: 'vllm', root: '/model', parent: null, max_model_len: CONTEXT },
        ...ADAPTERS.map((id) => ({ id, object: 'model', root: `/${id}`, parent: 'base', max_model_len: null })),
      ],
    },
  },
  answer: async (body, next) => {
    const parsed = Completion.safeParse(body);
    if (!parsed.success) return refuse(400, parsed.error.issues.map(({ message }) => message).join('; '));
    const { model, prompt, max_tokens, logprobs, ignore_eos } = parsed.data;
    const role = ADAPTERS.find((name) => name === model);
    if (role === undefined) return refuse(404, `The model \`${model}\` does not exist.`, 'NotFoundError');
    if (logprobs > MOST_LOGPROBS) {
      return refuse(
        400,
        `Requested sample logprobs of ${logprobs}, which is greater than max allowed: ${MOST_LOGPROBS}`,
      );
    }
    const prompts = Array.isArray(prompt[0]) ? prompt.map((one) => Ids.parse(one)) : [Ids.parse(prompt)];
    const tooLong = prompts.find(({ length }) => length + max_tokens > CONTEXT);
    if (tooLong) return refuse(400, `This model's maximum context length is ${CONTEXT} tokens.`);
    const choices = await Promise.all(
      prompts.map(async (ids, index) => {
        const said = await sayGreedily(next, role, { ids, count: max_tokens, ...(!ignore_eos && { eos: 0 }) });
        return {
          index,
          text: '',
          finish_reason: said.length < max_tokens ? 'stop' : 'length',
          stop_reason: null,
          logprobs: {
            text_offset: said.map(() => 0),
            tokens: said.map(({ id }) => `token_id:${id}`),
            token_logprobs: said.map(({ row }) => tell(row[0]!)[1]),
            top_logprobs: said.map(({ row }) => Object.fromEntries(row.slice(0, logprobs).map(tell))),
          },
        };
      }),
    );
    return { body: { id: 'cmpl-1', object: 'text_completion', model, choices } };
  },
};

const tell = ([id, logprob]: Told): [string, number] => [`token_id:${id}`, Math.max(logprob, -9999)];
