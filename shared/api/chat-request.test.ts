import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import { ChatRequest, parseChatRequest } from './chat-request.ts';
import { ERROR_CODES, PlimsollError } from './errors.ts';

/** Requests that are nearly right: each known field may hold any JSON value. */
const message = fc.record(
  {
    role: fc.oneof(fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool'), fc.jsonValue()),
    content: fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.record({ type: fc.constantFrom('text', 'image_url'), text: fc.jsonValue() }, { requiredKeys: [] })),
      fc.jsonValue(),
    ),
  },
  { requiredKeys: [] },
);
const field = fc.constantFrom(
  ...[...Object.keys(ChatRequest.shape), 'n', 'tools', 'logprobs', 'response_format', 'audio', '__proto__', 'unknown'],
);
const nearlyRight = fc
  .tuple(fc.array(message), fc.dictionary(field, fc.oneof(fc.jsonValue(), fc.integer(), fc.boolean())))
  .map(([messages, fields]) => JSON.parse(JSON.stringify({ model: 'm', messages, ...fields })) as unknown);

test('either parses any JSON as a request or throws a 400 error with a message', () => {
  fc.assert(
    fc.property(fc.oneof(nearlyRight, fc.jsonValue()), (body) => {
      try {
        const chat = parseChatRequest(body);
        expect(chat.messages.every(({ content }) => content.isWellFormed())).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(PlimsollError);
        const { code, message, param } = error as PlimsollError;
        expect(ERROR_CODES[code].status).toBe(400);
        expect(message).toMatch(/^.{10,300}$/s);
        expect(param === null || message.includes(param)).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});

test('accepts any 64-bit seed unchanged, and refuses a larger one', () => {
  const seedOf = (seed: unknown) =>
    parseChatRequest({ model: 'm', messages: [{ role: 'user', content: '?' }], seed }).seed;
  expect(seedOf(-7)).toBe(-7);
  expect(seedOf(2n ** 63n - 1n)).toBe('9223372036854775807');
  expect(seedOf(-(2n ** 63n))).toBe('-9223372036854775808');
  expect(() => seedOf(2n ** 63n)).toThrow(/'seed': expected .*at most 9223372036854775807, found 9223372036854775808/);
  expect(() => seedOf('9223372036854775807')).toThrow(/'seed'/);
});

test('takes every parameter of generation or refuses it by name, and ignores none', () => {
  const elsewhere = ['expert_logprobs', 'model', 'messages', 'max_tokens', 'stop', 'seed', 'temperature', 'top_p'];
  const asked: Record<string, unknown> = {
    top_k: 5,
    min_p: 0.1,
    presence_penalty: 1,
    frequency_penalty: 1,
    repetition_penalty: 1.1,
    logit_bias: { 7: 1 },
    allowed_token_ids: [7],
    min_tokens: 1,
    ignore_eos: true,
    n: 2,
    logprobs: true,
    top_logprobs: 1,
    echo: true,
  };
  const parameters = Object.keys(GenerateRequest.shape).filter((name) => !elsewhere.includes(name));
  expect(parameters.filter((name) => !(name in asked))).toEqual([]);
  for (const name of parameters) {
    const body = { model: 'm', messages: [{ role: 'user', content: '?' }], [name]: asked[name] };
    expect(() => parseChatRequest(body)).toThrow(`'${name}' is not supported`);
  }
});
