/** What a policy's `shaping` refuses, and what it lets through to the parser. */
import { expect, test } from 'vitest';
import { LOOSEST, STRICTEST } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { demandShaping } from './allowed-shaping.ts';

function refused(body: unknown, policy = STRICTEST): string | null {
  try {
    demandShaping(body, policy);
    return null;
  } catch (error) {
    if (!(error instanceof PlimsollError)) throw error;
    expect(error.status).toBe(400);
    return `${error.param}: ${error.message}`;
  }
}

const ASKED: Record<string, unknown> = {
  n: 2,
  best_of: 3,
  logprobs: true,
  top_logprobs: 5,
  logit_bias: { 7: -100 },
  allowed_token_ids: [],
  min_tokens: 2,
  ignore_eos: true,
  presence_penalty: 0.1,
  frequency_penalty: -1,
  repetition_penalty: 1.1,
};
const NEUTRAL: Record<string, unknown> = {
  n: 1,
  best_of: 1,
  logprobs: false,
  top_logprobs: 0,
  logit_bias: {},
  min_tokens: 0,
  ignore_eos: false,
  presence_penalty: 0,
  frequency_penalty: 0,
  repetition_penalty: 1,
};

test.each(Object.entries(ASKED))('%s is refused by name where the policy does not allow it', (name, value) => {
  expect(refused({ [name]: value })).toMatch(new RegExp(`^${name}: '${name}' is not allowed by the tenant's policy`));
  expect(refused({ [name]: value }, LOOSEST)).toBeNull();
  expect(refused({ [name]: null })).toBeNull();
});

test('a plain prompt is refused without being quoted', () => {
  expect(refused({ prompt: 'a secret' })).toMatch(/^prompt: 'prompt' is not allowed .* expected a chat's messages/);
  expect(refused({ prompt: 'a secret' })).not.toMatch(/secret/);
  expect(refused({ prompt: 'a secret' }, LOOSEST)).toBeNull();
});

test('what asks for nothing is allowed, and so is what is no request at all', () => {
  expect(refused(NEUTRAL)).toBeNull();
  for (const body of [null, 'text', 7, []]) expect(refused(body)).toBeNull();
});

test('each part of shaping is about its own fields', () => {
  const penalties = { ...LOOSEST, shaping: { ...LOOSEST.shaping, penalties: false } };
  expect(refused({ logprobs: true, n: 9, logit_bias: { 1: 1 } }, penalties)).toBeNull();
  expect(refused({ logprobs: true, frequency_penalty: 1 }, penalties)).toMatch(/^frequency_penalty/);
  const few = { ...LOOSEST, shaping: { ...LOOSEST.shaping, n: 4 } };
  expect([refused({ n: 4 }, few), refused({ n: 5 }, few)]).toEqual([null, expect.stringMatching(/at most 4, found 5/)]);
});
