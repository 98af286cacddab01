/** Tests a running stack with the requests that clients send. */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { ERROR_CODES, type ErrorBody, type ErrorCode } from '#shared/api/errors.ts';
import type { RequestExtension, SentExtension, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { Receipt } from '#shared/protocol/receipt.ts';
import strict from '../policies/demo/strict.json' with { type: 'json' };
import { client, KEYS, type Key, post, type RunningStack, startStack } from './running-stack.ts';

const FLOORS: Record<Key, number> = { 'pk-demo-strict': 0.9, 'pk-demo-balanced': 0.3, 'pk-demo-open': 0 };
const BUDGETS: Record<Key, number | null> = { 'pk-demo-strict': 2, 'pk-demo-balanced': 20, 'pk-demo-open': null };
const QUESTION = 'How do I clean a pan?';
/** The tolerance for sums of thousands of logarithms. The gate's own tests are exact. */
const ROUNDING = 1e-9;

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack?.stop();
});

type Ask = { question?: string; seed?: number; temperature?: number; plimsoll?: RequestExtension };

function requestOf({ question = QUESTION, seed = 7, temperature = 1, plimsoll }: Ask = {}) {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: question }];
  return { model: stack.model, messages, seed, temperature, max_tokens: 40, ...(plimsoll && { plimsoll }) };
}

async function whole(key: Key, ask: Ask = {}): Promise<ChatCompletion> {
  return ChatCompletion.parse(await client(stack.url, key).chat.completions.create(requestOf(ask)));
}

async function streamed(key: Key, ask: Ask = {}) {
  const request = { ...requestOf(ask), stream: true as const, stream_options: { include_usage: true } };
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of await client(stack.url, key).chat.completions.create(request)) {
    chunks.push(ChatCompletionChunk.parse(chunk));
  }
  return {
    chunks,
    text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    tokens: chunks.flatMap(({ plimsoll }) => plimsoll?.tokens ?? []),
    last: chunks.at(-1)!,
  };
}

const textOf = ({ choices }: ChatCompletion) => choices[0].message.content ?? '';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe.each(KEYS)('with %s', (key) => {
  test('the OpenAI client gets the same answer whole and streamed', async () => {
    const answer = await whole(key);
    const stream = await streamed(key);
    expect(textOf(answer).length).toBeGreaterThan(0);
    expect(stream.text).toBe(textOf(answer));
    expect(stream.last.usage).toEqual(answer.usage);
    expect(answer.usage.total_tokens).toBe(answer.usage.prompt_tokens + answer.usage.completion_tokens);
    expect(stream.chunks.filter(({ choices }) => choices[0]?.finish_reason).length).toBe(1);
    for (const { floor, budget } of [answer.plimsoll, stream.last.plimsoll!]) {
      expect(floor).toBeGreaterThanOrEqual(FLOORS[key]);
      if (BUDGETS[key] !== null) expect(budget).toBeLessThanOrEqual(BUDGETS[key]);
    }
  });

  test('every token keeps to the floor and the budget', async () => {
    const { plimsoll, usage } = await whole(key, { plimsoll: { trace: 'tokens' } });
    holdsItsLine(plimsoll, plimsoll.tokens!);
    expect(plimsoll.tokens!.length).toBe(usage.completion_tokens);
    const stream = await streamed(key, { plimsoll: { trace: 'tokens' } });
    holdsItsLine(stream.last.plimsoll!, stream.tokens);
    expect(stream.tokens).toEqual(plimsoll.tokens);
  });

  test('the same seed gives the same answer, alone or among other requests', async () => {
    const alone = await whole(key, { seed: 11 });
    const others = [12, 13, 14].map((seed) => whole(key, { seed }));
    expect(textOf(await whole(key, { seed: 11 }))).toBe(textOf(alone));
    const different = await Promise.all(others);
    expect(new Set([alone, ...different].map(textOf)).size).toBeGreaterThan(1);
  });

  test('the receipt is signed with a published key and describes the answer correctly', async () => {
    const jwks = (await (await fetch(`${stack.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
    expect(JSON.stringify(jwks)).not.toContain('"d"');
    const answer = await whole(key);
    const { plimsoll, usage } = answer;
    const token = plimsoll.receipt!;
    const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), { algorithms: ['EdDSA', 'Ed25519'] });
    const { iss: _iss, iat: _iat, ...claims } = payload;
    const receipt = Receipt.parse(claims);
    expect(receipt).toMatchObject({
      tenant: plimsoll.policy!.tenant,
      policy: plimsoll.policy!.version,
      model: stack.model,
      line: { floor: plimsoll.floor, budget: plimsoll.budget, rule: plimsoll.rule },
      weights: plimsoll.weights,
      spent: plimsoll.spent,
      usage,
      seed: 7,
      answer_digest: sha256(textOf(answer)),
    });
    const forged = token
      .split('.')
      .with(1, Buffer.from(JSON.stringify({ ...payload, spent: 0 })).toString('base64url'));
    await expect(jwtVerify(forged.join('.'), createLocalJWKSet(jwks))).rejects.toThrow();
  });
});

function holdsItsLine({ floor, budget, weights, spent }: SentExtension, tokens: readonly TokenTrace[]): void {
  expect(tokens.length).toBeGreaterThan(0);
  for (const token of tokens) {
    expect(token.weight).toBeGreaterThanOrEqual(token.floor);
    expect(token.floor).toBeGreaterThanOrEqual(floor!);
    if (budget !== null) expect(token.spent).toBeLessThanOrEqual(budget! + ROUNDING);
  }
  expect(weights!.min).toBe(Math.min(...tokens.map(({ weight }) => weight)));
  if (budget !== null) expect(spent).toBeLessThanOrEqual(budget! + ROUNDING);
}

test("the strict tenant's first tokens keep to its higher opening floor", async () => {
  const { plimsoll } = await whole('pk-demo-strict', { plimsoll: { trace: 'tokens' } });
  const opening = plimsoll.tokens!.slice(0, strict.opening.tokens);
  for (const { weight } of opening) expect(weight).toBeGreaterThanOrEqual(strict.opening.floor);
});

test('a request can raise its floor and lower its budget, but not the reverse', async () => {
  const raised = await whole('pk-demo-open', { plimsoll: { floor: 0.8, budget: 1, trace: 'tokens' } });
  expect(raised.plimsoll).toMatchObject({ floor: 0.8, budget: 1 });
  holdsItsLine(raised.plimsoll, raised.plimsoll.tokens!);
  const lowered = await whole('pk-demo-strict', { plimsoll: { floor: 0, budget: 1000 } });
  expect(lowered.plimsoll.floor).toBeGreaterThanOrEqual(FLOORS['pk-demo-strict']);
  expect(lowered.plimsoll.budget).toBeLessThanOrEqual(BUDGETS['pk-demo-strict']!);
});

test('with floor 1 and budget 0, only the safety expert answers: all tenants get its likeliest answer', async () => {
  // Draws depend on the tenant too. So all tenants get the same answer only if nothing is drawn.
  const alone = { temperature: 0, plimsoll: { floor: 1, budget: 0 } };
  const answers = await Promise.all(KEYS.map((key) => whole(key, alone)));
  for (const { plimsoll } of answers) {
    expect(plimsoll.weights).toEqual({ min: 1, mean: 1, max: 1 });
    expect(Math.abs(plimsoll.spent!)).toBeLessThanOrEqual(ROUNDING);
  }
  expect(new Set(answers.map(textOf)).size).toBe(1);
});

describe("rejects with OpenAI's error format", () => {
  const long = 'word '.repeat(20_000);
  const wrong: [name: string, body: () => unknown, code: ErrorCode, param: string | null][] = [
    ['an unknown model', () => ({ ...requestOf(), model: 'gpt-9' }), 'model_not_found', 'model'],
    ['broken JSON', () => '{"model": "x", "messages": [', 'invalid_json', null],
    ['an empty body', () => '', 'invalid_json', null],
    ['messages of a wrong type', () => ({ ...requestOf(), messages: 'Hi' }), 'invalid_type', 'messages'],
    ['a wrong temperature', () => ({ ...requestOf(), temperature: 'hot' }), 'invalid_type', 'temperature'],
    ['a misspelt floor', () => ({ ...requestOf(), plimsoll: { flor: 1 } }), 'unknown_parameter', 'plimsoll.flor'],
    [
      'half a tool',
      () => ({ ...requestOf(), tools: [{ type: 'function' }] }),
      'missing_required_parameter',
      'tools[0].function',
    ],
    ['a body of 10 MB', () => requestOf({ question: 'x'.repeat(10_000_000) }), 'request_too_large', null],
    ['a prompt beyond the context', () => requestOf({ question: long }), 'context_length_exceeded', 'messages'],
  ];
  test.each(wrong)('%s', async (_name, body, code, param) => {
    const answer = await post(stack.url, body());
    const { error } = (await answer.json()) as ErrorBody;
    expect(answer.status).toBe(ERROR_CODES[code].status);
    expect(error).toEqual({ message: expect.any(String), type: ERROR_CODES[code].type, param, code });
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  });

  test.each(['pk-wrong', '', 'pk-demo-operator'])('the key "%s"', async (key) => {
    const answer = await post(stack.url, requestOf(), { key });
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.code]).toEqual([401, 'invalid_api_key']);
  });

  test('a tenant key used to list tenants', async () => {
    for (const key of [...KEYS, 'pk-wrong']) {
      const answer = await fetch(`${stack.url}/admin/v1/tenants`, { headers: { authorization: `Bearer ${key}` } });
      expect([401, 403]).toContain(answer.status);
      await answer.body?.cancel();
    }
  });

  test('and leaves the same processes running and answering', async () => {
    const before = stack.backends();
    expect((await whole('pk-demo-balanced')).choices[0].finish_reason).toMatch(/stop|length/);
    expect(stack.backends()).toEqual(before);
    expect(stack.backends().length).toBe(1);
  });
});
