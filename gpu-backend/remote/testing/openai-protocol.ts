/**
 * `POST /v1/completions` as OpenAI's reference has it (`logprobs` at most 5, and the token that was
 * drawn beside the likeliest), in the three ways in which servers name tokens. There is no route
 * that tokenizes.
 */
import * as z from 'zod';
import type { Protocol, Told } from './engine-servers.ts';

const MOST_LOGPROBS = 5;
const Ids = z.array(z.int().min(0)).min(1);

const Completion = z.strictObject({
  model: z.enum(['safety', 'helpfulness']),
  prompt: z.union([Ids, z.array(Ids).min(1)]),
  max_tokens: z.literal(1),
  temperature: z.literal(1),
  top_p: z.literal(1),
  logprobs: z.int(),
  stream: z.literal(false),
});

export type Naming = 'ids' | 'list' | 'texts';

export const OPENAI_PROTOCOL = (naming: Naming, textOf: (id: number) => string): Protocol => ({
  path: '/v1/completions',
  tokenize: null,
  answer: async (body, next) => {
    const { model, prompt, logprobs } = Completion.parse(body);
    if (logprobs > MOST_LOGPROBS) {
      const message = `Invalid value for 'logprobs': must be less than or equal to ${MOST_LOGPROBS}.`;
      return {
        status: 400,
        body: { error: { message, type: 'invalid_request_error', param: 'logprobs', code: null } },
      };
    }
    const prompts = Array.isArray(prompt[0]) ? prompt.map((one) => Ids.parse(one)) : [Ids.parse(prompt)];
    const choices = await Promise.all(
      prompts.map(async (ids, index) => {
        const row = await next(model, ids);
        // Any token may be drawn at temperature 1.
        const drawn = row[(ids.length * 7) % row.length]!;
        const told = [drawn, ...row.slice(0, logprobs).filter(([id]) => id !== drawn[0])];
        return { index, text: textOf(drawn[0]), finish_reason: 'length', logprobs: write(told, naming, textOf) };
      }),
    );
    return { body: { id: 'cmpl-1', object: 'text_completion', model, choices } };
  },
});

function write(told: readonly Told[], naming: Naming, textOf: (id: number) => string): unknown {
  if (naming === 'list') {
    const top_logprobs = told.map(([id, logprob]) => ({ id, token: textOf(id), bytes: [], logprob }));
    return { content: [{ ...top_logprobs[0], top_logprobs }] };
  }
  const nameOf = (id: number) => (naming === 'ids' ? `token_id:${id}` : textOf(id));
  return {
    text_offset: [0],
    tokens: [nameOf(told[0]![0])],
    token_logprobs: [told[0]![1]],
    top_logprobs: [Object.fromEntries(told.map(([id, logprob]) => [nameOf(id), logprob]))],
  };
}
