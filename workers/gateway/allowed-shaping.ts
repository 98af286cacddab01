/**
 * How a policy lets a request shape its answer: how many answers, what is said about tokens, and
 * what pulls the draws away from the model's own.
 *
 * `bias` is also about what may be said at all, and about when an answer may end: with both, a
 * client makes experts say what they would not.
 */
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { describeFound } from '#shared/api/invalid-request.ts';

type Field = { part: 'logprobs' | 'bias' | 'penalties' | 'tools'; asksForNothing: (value: unknown) => boolean };

const only = (neutral: unknown) => (value: unknown) => value === neutral;
const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

const FIELDS: Readonly<Record<string, Field>> = {
  logprobs: { part: 'logprobs', asksForNothing: only(false) },
  top_logprobs: { part: 'logprobs', asksForNothing: only(0) },
  logit_bias: { part: 'bias', asksForNothing: isEmpty },
  allowed_token_ids: { part: 'bias', asksForNothing: () => false },
  min_tokens: { part: 'bias', asksForNothing: only(0) },
  ignore_eos: { part: 'bias', asksForNothing: only(false) },
  presence_penalty: { part: 'penalties', asksForNothing: only(0) },
  frequency_penalty: { part: 'penalties', asksForNothing: only(0) },
  tools: { part: 'tools', asksForNothing: isEmpty },
  repetition_penalty: { part: 'penalties', asksForNothing: only(1) },
};

/** `n`, and what draws as many and gives the best. */
const COUNTS = ['n', 'best_of'];

/** Throws `unsupported_value` for the first field that the policy does not allow. */
export function demandShaping(body: unknown, { shaping }: Pick<Policy, 'shaping'>): void {
  if (typeof body !== 'object' || body === null) return;
  // The cast: any object may be read by names.
  const fields = body as Readonly<Record<string, unknown>>;
  for (const name of COUNTS) {
    const value = fields[name];
    if (shaping.n === null || typeof value !== 'number' || value <= shaping.n) continue;
    throw notAllowed(name, `at most ${shaping.n}, found ${describeFound(value)}`);
  }
  if (!shaping.plain_prompts && fields.prompt !== undefined) {
    throw notAllowed('prompt', "a chat's messages, sent to /v1/chat/completions");
  }
  for (const [name, { part, asksForNothing }] of Object.entries(FIELDS)) {
    const value = fields[name];
    if (shaping[part] || value === undefined || value === null || asksForNothing(value)) continue;
    throw notAllowed(name, `the field left out, found ${describeFound(value)}`);
  }
}

function notAllowed(param: string, expected: string): PlimsollError {
  return new PlimsollError(
    'unsupported_value',
    `'${param}' is not allowed by the tenant's policy: expected ${expected}.`,
    {
      param,
    },
  );
}
