/**
 * OpenAI's older request for completions of plain prompts. A prompt is text without turns, or its
 * token ids, and one request may have several.
 */
import * as z from 'zod';
import { checkStreamOptions } from './chat-request.ts';
import { PlimsollError } from './errors.ts';
import { generationFields, MOST_CHOICES, MOST_TOP_LOGPROBS } from './generation-fields.ts';
import { ignoredFields } from './ignored-fields.ts';
import { parseRequest } from './invalid-request.ts';
import { RequestExtension } from './plimsoll-extension.ts';
import { refuseUnsupported, type Unsupported, VLLM_UNSUPPORTED } from './unsupported-fields.ts';
import { repaired, wellFormed } from './well-formed.ts';

/** How many tokens OpenAI draws if nobody says. */
const DEFAULT_MAX_TOKENS = 16;

const Ids = z.array(z.int().min(0)).min(1);
/** A text, or the ids of its tokens. */
export type OnePrompt = string | number[];

export const CompletionRequest = z.object({
  model: wellFormed.min(1),
  prompt: z.union([repaired, z.array(repaired).min(1).max(MOST_CHOICES), Ids, z.array(Ids).min(1).max(MOST_CHOICES)]),
  ...generationFields,
  /** How many are drawn, of which the best are given. Only as many as are given. */
  best_of: z.int().min(1).nullish(),
  echo: z.boolean().nullish(),
  /** How many of the likeliest tokens are listed beside each; 0: none but the drawn one. */
  logprobs: z.int().min(0).max(MOST_TOP_LOGPROBS).nullish(),
  plimsoll: RequestExtension.nullish(),
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

const UNSUPPORTED: Unsupported = {
  suffix: { neutral: [''], expected: 'the field left out' },
  response_format: { neutral: { type: 'text' }, expected: '{"type":"text"}' },
  max_completion_tokens: { neutral: [], expected: 'max_tokens' },
  prompt_embeds: 'never',
  guided_json: 'never',
  structured_outputs: 'never',
  ...VLLM_UNSUPPORTED,
  // Nothing is put before a prompt, and no special token is made of it.
  add_special_tokens: { neutral: [false, true], expected: 'true or false' },
};

const KNOWN = [...Object.keys(CompletionRequest.shape), ...Object.keys(UNSUPPORTED)];

/** @returns what the request asks for and does not get, because it changes nothing about answers */
export function ignoredInCompletion(body: unknown): string[] {
  return ignoredFields(body, { known: KNOWN });
}

export function parseCompletionRequest(body: unknown): CompletionRequest {
  refuseUnsupported(body, UNSUPPORTED);
  ignoredInCompletion(body);
  const { max_tokens, ...asked } = parseRequest(CompletionRequest, body);
  checkStreamOptions(asked);
  const { best_of, n } = asked;
  if (best_of != null && best_of !== 1 && best_of !== (n ?? 1)) {
    throw new PlimsollError(
      'unsupported_value',
      `'best_of' is not supported by this server: expected 1 or the same as 'n' (${n ?? 1}), found ${best_of}.`,
      { param: 'best_of' },
    );
  }
  const count = promptsOf(asked).length * (n ?? 1);
  if (count > MOST_CHOICES) {
    throw new PlimsollError(
      'array_above_max_length',
      `'prompt' and 'n' together ask for ${count} answers: expected at most ${MOST_CHOICES}.`,
      { param: 'prompt' },
    );
  }
  return { ...asked, max_tokens: max_tokens ?? DEFAULT_MAX_TOKENS };
}

/** The prompts, each a text or ids. */
export function promptsOf({ prompt }: Pick<CompletionRequest, 'prompt'>): [OnePrompt, ...OnePrompt[]] {
  if (typeof prompt === 'string') return [prompt];
  // The casts: the schema wants at least one entry, and all of one kind.
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as [OnePrompt, ...OnePrompt[]]);
}
