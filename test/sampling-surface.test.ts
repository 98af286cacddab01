/** The parameters of a request, from the client to the gate and back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { type ByteStack, CHAT, eventsOf, startByteStack, textOf } from './byte-stack.ts';

let stack: ByteStack;
beforeAll(async () => {
  stack = await startByteStack({
    plain: { floor: 0.3, budget: 12 },
    shy: { floor: 0.3, budget: 12, shaping: { n: 2, logprobs: false, bias: false, penalties: false } },
    free: { floor: 0, budget: null },
  });
});
afterAll(() => stack?.close());

describe('what shapes an answer reaches the gate', () => {
  test('biases, masks, penalties and ends do what they say', async () => {
    expect(textOf(await stack.chat({ logit_bias: { 120: 100 }, max_tokens: 5 }, 'pk-free'))).toBe('xxxxx');
    // A budget has the last word.
    expect(textOf(await stack.chat({ logit_bias: { 120: 100 }, max_tokens: 5 }))).not.toBe('xxxxx');
    expect(textOf(await stack.chat({ allowed_token_ids: [97, 98] }))).toMatch(/^[ab]{16}$/);
    const greedy = textOf(await stack.chat({ temperature: 0 }, 'pk-free'));
    expect(textOf(await stack.chat({ top_k: 1 }, 'pk-free'))).toBe(greedy);
    expect(textOf(await stack.chat({ min_p: 1, seed: 9 }, 'pk-free'))).toBe(greedy);
    const plain = textOf(await stack.chat());
    for (const change of [
      { presence_penalty: 1 },
      { frequency_penalty: -1 },
      { repetition_penalty: 1.3 },
      { min_tokens: 3 },
      { seed: 8 },
    ]) {
      expect(textOf(await stack.chat(change)), JSON.stringify(change)).not.toBe(plain);
    }
    expect(textOf(await stack.chat({ top_k: -1, min_p: 0, repetition_penalty: 1, n: 1, logit_bias: {} }))).toBe(plain);
  });

  test('the tenant’s policy says which of it is allowed', async () => {
    for (const [param, value] of Object.entries({
      logprobs: true,
      logit_bias: { 7: 1 },
      allowed_token_ids: [97],
      min_tokens: 2,
      ignore_eos: true,
      presence_penalty: 1,
      repetition_penalty: 1.1,
      n: 3,
    })) {
      const found = await stack.refusal('chat/completions', { ...CHAT, [param]: value }, 'pk-shy');
      expect(found).toMatchObject({ status: 400, code: 'unsupported_value', param });
      expect(found.message).toMatch(/tenant's policy/);
    }
    expect((await stack.chat({ n: 2 }, 'pk-shy')).choices).toHaveLength(2);
    const legacy = await stack.refusal('completions', { model: 'scripted', prompt: 'a', logprobs: 1 }, 'pk-shy');
    expect(legacy).toMatchObject({ code: 'unsupported_value', param: 'logprobs' });
  });

  test('what a backend alone can tell is refused in OpenAI’s words', async () => {
    expect(await stack.refusal('chat/completions', { ...CHAT, logit_bias: { 999: 1 } })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'logit_bias' },
    });
    expect(await stack.refusal('chat/completions', { ...CHAT, allowed_token_ids: [999] })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'allowed_token_ids' },
    });
    expect(await stack.refusal('chat/completions', { ...CHAT, min_tokens: 17 })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'min_tokens' },
    });
  });
});

test('log-probabilities: one entry for each token, with bytes and the likeliest, whole and streamed', async () => {
  const asked = { logprobs: true, top_logprobs: 3 };
  const whole = await stack.chat(asked);
  const { content } = whole.choices[0].logprobs!;
  expect(content).toHaveLength(whole.usage.completion_tokens);
  expect(content.map(({ token }) => token).join('')).toBe(textOf(whole));
  for (const { token, bytes, logprob, top_logprobs } of content) {
    expect(bytes === null ? '' : Buffer.from(bytes).toString()).toBe(token);
    expect(logprob).toBeLessThanOrEqual(0);
    expect(top_logprobs).toHaveLength(3);
    const sorted = top_logprobs.map((rival) => rival.logprob);
    expect(sorted).toEqual(sorted.toSorted((a, b) => b - a));
    expect(logprob).toBeLessThanOrEqual(sorted[0]! + 1e-9);
  }
  // The same draws as without.
  expect(textOf(await stack.chat())).toBe(textOf(whole));
  const stream = await stack.post('chat/completions', { ...CHAT, seed: 7, stream: true, ...asked });
  const chunks = (await eventsOf(stream)).map((event) => ChatCompletionChunk.parse(event));
  expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])).toEqual(content);
  const none = await stack.chat({ logprobs: true });
  expect(none.choices[0].logprobs!.content.every(({ top_logprobs }) => top_logprobs.length === 0)).toBe(true);
  // A trace beside them lists no rivals that it was not asked for, and no expert's numbers leak.
  const traced = await stack.chat({ ...asked, plimsoll: { trace: 'tokens', top: 1 } });
  expect(traced.plimsoll.tokens?.every(({ top }) => top?.length === 1)).toBe(true);
  expect(traced.choices[0].logprobs).toEqual(whole.choices[0].logprobs);
});

test('harmless fields are listed, and those that would change an answer are not ignored', async () => {
  const answer = await stack.post('chat/completions', {
    ...CHAT,
    ...{ user: 'u', service_tier: 'flex', store: true, metadata: { a: 'b' }, prompt_cache_key: 'k' },
  });
  expect(answer.headers.get('x-plimsoll-ignored')).toBe('user, service_tier, store, metadata, prompt_cache_key');
  expect((await stack.post('chat/completions', CHAT)).headers.get('x-plimsoll-ignored')).toBeNull();
  const typo = await stack.refusal('chat/completions', { ...CHAT, temprature: 0 });
  expect(typo).toMatchObject({ status: 400, code: 'unknown_parameter', param: 'temprature' });
});
