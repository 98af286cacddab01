/**
 * llama.cpp's `POST /completion`, `POST /tokenize` and `GET /lora-adapters`
 * (tools/server/README.md). One server an expert. Several prompts have an array for an answer. It
 * always ends at the token that ends an answer. As the real one does, it leaves out the row of a
 * token whose text is the beginning of a character: here, every token that is divisible by 7. A
 * bias changes what is said and not the rows.
 */
import * as z from 'zod';
import type { ExpertRole } from '../../model/manifest.ts';
import type { Protocol } from './engine-servers.ts';
import { sayGreedily } from './say-greedily.ts';

const Ids = z.array(z.int()).min(1);

const Completion = z.object({
  prompt: z.union([Ids, z.array(Ids).min(1)]),
  n_predict: z.int().min(1),
  n_probs: z.int(),
  post_sampling_probs: z.literal(false),
  return_tokens: z.boolean().default(false),
  /** Texts, each of a token that is a whole character. */
  logit_bias: z.array(z.tuple([z.literal('!'), z.number()])).default([]),
});

const isWhole = (id: number) => id % 7 !== 0;

const Content = z.object({ content: z.string(), add_special: z.literal(false), parse_special: z.literal(true) });

export const LLAMA_CPP_PROTOCOL = (role: ExpertRole): Protocol => ({
  path: '/completion',
  tokenize: (body, encode) => ({ tokens: encode(Content.parse(body).content) }),
  told: { '/lora-adapters': [{ id: 0, path: `${role}.gguf`, scale: 1, task_name: '', prompt_prefix: '' }] },
  answer: async (body, next) => {
    const { prompt, n_predict, n_probs, return_tokens, logit_bias } = Completion.parse(body);
    const prompts = Array.isArray(prompt[0]) ? prompt.map((one) => Ids.parse(one)) : [Ids.parse(prompt)];
    const answers = await Promise.all(
      prompts.map(async (ids, index) => {
        const said = await sayGreedily(next, role, { ids, count: n_predict, eos: 0 });
        const told = said.filter(({ id }) => logit_bias.length > 0 || isWhole(id));
        const completion_probabilities = told.map(({ row }) => {
          const top = row
            .slice(0, n_probs)
            .map(([id, lp]) => ({ id, token: '', bytes: [], logprob: Math.max(lp, -1e30) }));
          return { ...top[0]!, top_logprobs: top };
        });
        const tokens = return_tokens ? said.map(({ id }) => id) : [];
        return { index, content: '', tokens, stop: true, ...(told.length > 0 && { completion_probabilities }) };
      }),
    );
    return { body: answers.length === 1 ? answers[0] : answers };
  },
});
