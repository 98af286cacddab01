/**
 * SGLang's own `POST /generate`: token ids in, one token out, with the log-probabilities of the
 * likeliest (docs.sglang.io, "Sampling Parameters"; fields of 0.5). At temperature 0 they are those
 * of the model itself.
 */
import * as z from 'zod';
import type { Dialect } from './remote-engine.ts';

/** Log-probability, id, and the token's text if that was asked for. */
const Told = z.tuple([z.number(), z.int(), z.string().nullish()]);

const Answer = z.object({ meta_info: z.object({ output_top_logprobs: z.tuple([z.array(Told)]) }) });

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

export const SGLANG: Dialect = {
  name: 'sglang',
  question: ({ ids, topK }, { model }) => ({
    path: '/generate',
    body: {
      input_ids: ids,
      sampling_params: { max_new_tokens: 1, temperature: 0 },
      return_logprob: true,
      top_logprobs_num: topK,
      stream: false,
      ...(model !== null && { lora_path: model }),
    },
  }),
  read: (answer) => {
    const [told] = Answer.parse(answer).meta_info.output_top_logprobs;
    return told.map(([logprob, id]) => [id, logprob]);
  },
  tokenize: {
    question: (text, { model }) => ({
      path: '/tokenize',
      body: { ...(model !== null && { model }), prompt: text, add_special_tokens: false },
    }),
    read: (answer) => Tokens.parse(answer).tokens,
  },
};
