/**
 * SGLang's `POST /generate`, `POST /tokenize` and `GET /v1/models`
 * (python/sglang/srt/managers/io_struct.py and scheduler_output_processor_mixin.py). What is told
 * of the prompt starts at the token at `logprob_start_len` and is null there; -1, the default,
 * tells nothing of it. Mistakes are errors with a bare message.
 */
import * as z from 'zod';
import type { Protocol, Reply, Told } from './engine-servers.ts';
import { sayGreedily } from './say-greedily.ts';

const Generate = z.object({
  input_ids: z.array(z.int()).min(1),
  sampling_params: z.object({
    max_new_tokens: z.int().min(0).default(128),
    temperature: z.literal(0),
    ignore_eos: z.boolean().default(false),
  }),
  return_logprob: z.literal(true),
  logprob_start_len: z.int().default(-1),
  top_logprobs_num: z.int(),
  lora_path: z.string(),
  extra_key: z.string().nullish(),
});

const Prompt = z.object({ prompt: z.string(), add_special_tokens: z.literal(false) });

const CONTEXT = 4096;
const ADAPTERS = ['safety', 'helpfulness'] as const;

const refuse = (message: string): Reply => ({ status: 400, body: { error: { message } } });

export const SGLANG_PROTOCOL: Protocol = {
  path: '/generate',
  tokenize: (body, encode) => {
    const tokens = encode(Prompt.parse(body).prompt);
    return { tokens, count: tokens.length, max_model_len: CONTEXT };
  },
  told: {
    '/v1/models': {
      object: 'list',
      data: [
        { id: '/model', object: 'model', owned_by: 'sglang', root: '/model', parent: null, max_model_len: CONTEXT },
        ...ADAPTERS.map((id) => ({ id, object: 'model', root: `/${id}`, parent: '/model', max_model_len: null })),
      ],
    },
  },
  answer: async (body, next) => {
    const parsed = Generate.safeParse(body);
    if (!parsed.success) return refuse(parsed.error.issues.map(({ message }) => message).join('; '));
    const { input_ids: ids, sampling_params, logprob_start_len: start, top_logprobs_num, lora_path } = parsed.data;
    const role = ADAPTERS.find((name) => name === lora_path);
    if (role === undefined) return refuse(`Got LoRA adapter that has never been loaded: ${lora_path}`);
    if (start >= ids.length) return refuse(`logprob_start_len (${start}) is not less than the input's length`);
    const { max_new_tokens, ignore_eos } = sampling_params;
    const said = await sayGreedily(next, role, { ids, count: max_new_tokens, ...(!ignore_eos && { eos: 0 }) });
    const top = (row: Told[]) => row.slice(0, top_logprobs_num).map(([id, logprob]) => [logprob, id, null]);
    const before =
      start < 0 ? null : await Promise.all(ids.slice(start + 1).map((_, i) => next(role, ids.slice(0, start + 1 + i))));
    return {
      body: {
        text: '',
        output_ids: said.map(({ id }) => id),
        meta_info: {
          id: '1',
          finish_reason: { type: 'length', length: max_new_tokens },
          prompt_tokens: ids.length,
          completion_tokens: said.length,
          cached_tokens: 0,
          ...(before && {
            input_token_logprobs: [
              [null, ids[start], null],
              ...before.map((row, i) => [lpOf(row, ids[start + 1 + i]!), ids[start + 1 + i], null]),
            ],
            input_top_logprobs: [null, ...before.map(top)],
          }),
          output_token_logprobs: said.map(({ id, row }) => [row[0]![1], id, null]),
          output_top_logprobs: said.map(({ row }) => top(row)),
        },
      },
    };
  },
};

const lpOf = (row: readonly Told[], wanted: number) => row.find(([id]) => id === wanted)?.[1];
