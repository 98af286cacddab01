/**
 * SGLang's own `POST /generate`: token ids in, tokens out, with the log-probabilities of the
 * likeliest (docs.sglang.io, "Sampling Parameters"; fields of 0.5). At temperature 0 they are those
 * of the model itself.
 *
 * Several positions are one prompt with `logprob_start_len`: the radix cache is read up to there.
 * What is told of the prompt's tokens starts at that token with null, because what it was predicted
 * from is before it. So the rows after the last n ids are those told of the last n - 1 tokens, and
 * the one that was sampled.
 */
import * as z from 'zod';
import { adaptersOf } from './model-cards.ts';
import type { Asked, Dialect, IdLogprob } from './remote-engine.ts';

/** Log-probability, id, and the token's text if that was asked for. */
const Told = z.tuple([z.number(), z.int(), z.string().nullish()]);
const Row = z.array(Told);

const Meta = z.object({
  /** From `logprob_start_len` on, the first one null. Left out if none were asked for. */
  input_top_logprobs: z.array(Row.nullable()).nullish(),
  output_top_logprobs: z.array(Row).min(1),
});
const Answer = z.object({ meta_info: Meta });
const Said = z.object({ output_ids: z.array(z.int()).min(1), meta_info: Meta });

const Tokens = z.object({ tokens: z.array(z.int().min(0)) });

/** What is left out comes from --preferred-sampling-params, and would act on drafts. */
const GREEDY = { temperature: 0, repetition_penalty: 1, presence_penalty: 0, frequency_penalty: 0 };

const body = (
  ids: readonly number[],
  { model, topK, cacheSalt }: Asked,
  { start, ...sampling }: { max_new_tokens: number; ignore_eos?: true; start?: number },
) => ({
  input_ids: ids,
  sampling_params: { ...sampling, ...GREEDY },
  return_logprob: true,
  top_logprobs_num: topK,
  ...(start !== undefined && { logprob_start_len: start }),
  stream: false,
  ...(model !== null && { lora_path: model }),
  ...(cacheSalt !== null && { extra_key: cacheSalt }),
});

export const SGLANG: Dialect = {
  name: 'sglang',
  canAskCold: true,
  rows: {
    question: ({ ids, positions }, asked) => ({
      path: '/generate',
      body: body(ids, asked, { max_new_tokens: 1, ...(positions > 1 && { start: ids.length - positions }) }),
    }),
    read: (answer, { positions }) => {
      const { input_top_logprobs: before, output_top_logprobs: after } = Answer.parse(answer).meta_info;
      const earlier =
        positions === 1
          ? []
          : z
              .array(Row)
              .length(positions - 1)
              .parse(before?.slice(1));
      return [...earlier, after[0]!].map(pairsOf);
    },
  },
  goOn: {
    // The token that ends an answer is a token like any other here.
    question: ({ ids, count }, asked) => ({
      path: '/generate',
      body: body(ids, asked, { max_new_tokens: count, ignore_eos: true }),
    }),
    read: (answer) => {
      const { output_ids: ids, meta_info } = Said.parse(answer);
      const rows = meta_info.output_top_logprobs;
      return ids.slice(0, rows.length).map((id, i) => ({ id, row: pairsOf(rows[i]!) }));
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

const pairsOf = (row: z.infer<typeof Row>): IdLogprob[] => row.map(([logprob, id]) => [id, logprob]);
