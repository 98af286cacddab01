/**
 * `POST /v1/completions` with `logprobs`, as OpenAI has it and many servers take it: token ids in,
 * one token out, with the log-probabilities of the likeliest. Servers name those in three ways:
 *
 * - ids as keys (`token_id:123`, as vLLM does where it is asked to);
 * - a list with an `id` or `token_id` beside each text (llama.cpp's server, Fireworks);
 * - texts as keys, as OpenAI does. A text is taken only if exactly one token of the bundle is
 *   written so; with any other, the whole answer counts as none.
 *
 * One position a question, and no drafts: of a server that nobody knows, log-probabilities at
 * temperature 0 may be those of after the temperature. At temperature 1 both are the same, and
 * which token it draws does not matter.
 */
import * as z from 'zod';
import { UnknownTextError } from './own-row.ts';
import { type Asked, type Dialect, type IdLogprob, inOrder, prefixesOf } from './remote-engine.ts';

const Logprob = z.number().nullable();
const Named = z.object({
  id: z.int().optional(),
  token_id: z.int().optional(),
  token: z.string().optional(),
  logprob: Logprob,
});
const Logprobs = z.union([
  z.object({ content: z.array(z.object({ top_logprobs: z.array(Named) })).min(1) }),
  z.object({ top_logprobs: z.array(z.record(z.string(), Logprob)).min(1) }),
]);
const Answer = z.object({ choices: z.array(z.object({ index: z.int(), logprobs: Logprobs })).min(1) });

/** Returns the one token that is written so; undefined if there is none, or several. */
export type IdOfText = (text: string) => number | undefined;

const TOKEN_ID = /^token_id:(\d{1,9})$/;
/** Servers that have no infinity to send write so. */
const MINUS_INFINITY = -9999;

export function openaiLogprobs(idOfText: IdOfText): Dialect {
  const idOf = (text: string): number => {
    const [, id] = TOKEN_ID.exec(text) ?? [];
    const found = id === undefined ? idOfText(text) : Number(id);
    if (found !== undefined) return found;
    throw new UnknownTextError(`it tells ${JSON.stringify(text)}, which is not one token of the bundle and no other`);
  };
  const pair = (id: number, logprob: number | null): IdLogprob => [
    id,
    logprob === null || logprob <= MINUS_INFINITY ? -Infinity : logprob,
  ];
  const pairsOf = (logprobs: z.infer<typeof Logprobs>): IdLogprob[] =>
    'content' in logprobs
      ? logprobs.content[0]!.top_logprobs.map(({ id, token_id, token = '', logprob }) =>
          pair(id ?? token_id ?? idOf(token), logprob),
        )
      : Object.entries(logprobs.top_logprobs[0]!).map(([key, logprob]) => pair(idOf(key), logprob));
  return {
    name: 'openai-logprobs',
    canAskCold: false,
    rows: {
      question: (query, { model, topK }: Asked) => {
        const prompts = prefixesOf(query);
        const prompt = query.positions === 1 ? prompts[0] : prompts;
        const more = { max_tokens: 1, temperature: 1, top_p: 1, logprobs: topK, stream: false };
        return { path: '/v1/completions', body: { model, prompt, ...more } };
      },
      read: (answer, { positions }) => {
        const { choices } = Answer.parse(answer);
        return inOrder(choices, positions).map(({ logprobs }) => pairsOf(logprobs));
      },
    },
    goOn: null,
    tokenize: null,
    adapters: null,
  };
}
