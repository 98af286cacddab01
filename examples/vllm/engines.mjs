/**
 * How vLLM and SGLang are started with both experts, and how one of them is asked for the likeliest
 * next tokens. Names of options and fields are from their documentation (vLLM 0.33, SGLang 0.5).
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** The ranks that vLLM takes for `--max-lora-rank`. */
const VLLM_RANKS = [8, 16, 32, 64, 128, 256, 320, 512];

/**
 * By name. `command` is what starts a server, and `base` the name under which it has the bare
 * model. `question` and `read` are one request for the k likeliest next tokens, and what they are:
 * `[id, log-probability]`.
 */
export const ENGINES = {
  vllm: {
    base: 'base',
    keyVariable: 'VLLM_API_KEY',
    command: async ({ model, adapters, port, context, topK }) => [
      'vllm',
      ...['serve', model, '--served-model-name', 'base', '--host', '127.0.0.1', '--port', `${port}`],
      ...['--max-model-len', `${context}`, '--max-logprobs', `${topK}`, '--enable-prefix-caching'],
      ...(await vllmAdapters(adapters)),
    ],
    question: ({ name, ids, topK }) => ({
      path: '/v1/completions',
      body: {
        ...{ model: name, prompt: ids, max_tokens: 1, temperature: 0, logprobs: topK },
        ...{ return_tokens_as_token_ids: true, add_special_tokens: false, stream: false },
      },
    }),
    read: ({ choices }) =>
      Object.entries(choices[0].logprobs.top_logprobs[0]).map(([key, lp]) => [Number(key.split(':')[1]), lp]),
  },
  sglang: {
    base: null,
    keyVariable: null,
    command: async ({ model, adapters, port, context }) => [
      'python3',
      ...['-m', 'sglang.launch_server', '--model-path', model, '--host', '127.0.0.1', '--port', `${port}`],
      ...['--context-length', `${context}`],
      ...(adapters.length === 0 ? [] : ['--enable-lora', '--max-loras-per-batch', '3', '--lora-paths']),
      ...adapters.map(({ name, dir }) => `${name}=${dir}`),
    ],
    question: ({ name, ids, topK }) => ({
      path: '/generate',
      body: {
        ...{ input_ids: ids, sampling_params: { max_new_tokens: 1, temperature: 0 }, stream: false },
        ...{ return_logprob: true, top_logprobs_num: topK, ...(name !== null && { lora_path: name }) },
      },
    }),
    read: ({ meta_info }) => meta_info.output_top_logprobs[0].map(([lp, id]) => [id, lp]),
  },
};

async function vllmAdapters(adapters) {
  if (adapters.length === 0) return [];
  const ranks = await Promise.all(adapters.map(({ dir }) => rankOf(dir)));
  const rank = VLLM_RANKS.find((one) => one >= Math.max(...ranks));
  if (rank === undefined) throw new Error(`vLLM takes adapters up to rank ${VLLM_RANKS.at(-1)}, found ${ranks}`);
  const modules = adapters.map(({ name, dir }) => `${name}=${dir}`);
  return ['--enable-lora', '--max-loras', '2', '--max-lora-rank', `${rank}`, '--lora-modules', ...modules];
}

/** The rank of an adapter as PEFT saves it. */
async function rankOf(dir) {
  const file = path.join(dir, 'adapter_config.json');
  const { r } = JSON.parse(await readFile(file, 'utf8'));
  if (!Number.isInteger(r)) throw new Error(`${file}: found no rank (r), wanted an adapter as PEFT saves it`);
  return r;
}

/** The k likeliest tokens after these ids, by id. Throws if the server does not say them. */
export async function likeliest(engine, { url, key, name, ids, topK }) {
  const { path: route, body } = engine.question({ name, ids, topK });
  const answer = await fetch(`${url}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key !== null && { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${url}${route}: ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
  return new Map(engine.read(await answer.json()));
}
