/**
 * The shapes of good answers, as the unchanged `openai` client and a raw reader see them, and what
 * reaches the backend.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { ask, type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;

beforeAll(async () => {
  under = await startEdgeUnderTest();
  backend = under.backends[0] as ScriptedBackend;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.behaviour = 'answer';
  backend.seen.length = 0;
});

const SENTENCE = 'The answer to seed 7 is ⚓ and no more.';

/** Every event of a stream, parsed, and whether `[DONE]` ended it. */
async function readEvents(answer: Response): Promise<{ chunks: ChatCompletionChunk[]; isDone: boolean }> {
  const events = (await answer.text()).split('\n\n').filter((event) => event !== '');
  const isDone = events.at(-1) === 'data: [DONE]';
  const data = isDone ? events.slice(0, -1) : events;
  return { isDone, chunks: data.map((event) => ChatCompletionChunk.parse(JSON.parse(event.slice('data: '.length)))) };
}

/**
 * The fields of every answer. Only one that the edge has mixed has `mixing`, and only one with
 * calls of tools has `drawn_text`.
 */
const SUMMARY = Object.keys(AnswerExtension.shape).filter((name) => name !== 'mixing' && name !== 'drawn_text');

describe('a whole answer', () => {
  test('has the shape of chat.completion and the whole extension', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hello there'), seed: 7 });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    const completion = ChatCompletion.parse(await answer.json());
    expect(completion.choices[0]).toEqual({
      index: 0,
      message: { role: 'assistant', content: SENTENCE, refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    });
    expect(completion.usage).toEqual({
      prompt_tokens: 2,
      completion_tokens: 13,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 1 },
    });
    expect(AnswerExtension.parse(completion.plimsoll)).toMatchObject({
      policy: { tenant: 'demo-balanced', version: expect.stringMatching(/^[0-9a-f]{32}$/) },
      floor: 0.3,
      budget: 20,
      rule: 'geometric',
      mode: 'logits',
      weights: { min: 0.5, max: 0.5 },
      backend: 'backend-0',
      cache: { route: 'miss', answer: 'off' },
    });
  });

  test('carries a receipt that anyone can check with the published keys', async () => {
    const completion = await openaiClient(under.edge).chat.completions.create({ ...ask('A receipt'), seed: 7 });
    const jwks = await (await fetch(`${under.edge.url}/.well-known/jwks.json`)).json();
    expect(JSON.stringify(jwks)).not.toContain('"d"');
    const { plimsoll } = ChatCompletion.parse(completion);
    const receipt = await verifyReceipt(plimsoll.receipt ?? '', jwks as Parameters<typeof verifyReceipt>[1]);
    expect(receipt).toMatchObject({ tenant: 'demo-balanced', seed: 7, line: { floor: 0.3, budget: 20 } });
    expect(completion.id.replace('chatcmpl-', 'req_')).toBe(receipt.request);
  });

  test('reports a cache hit for a remembered decision, for the same tenant only', async () => {
    const route = async (key: string) => {
      const completion = await openaiClient(under.edge, key).chat.completions.create(ask('Twice the same'));
      return ChatCompletion.parse(completion).plimsoll.cache?.route;
    };
    expect(await route('pk-demo-balanced')).toBe('miss');
    expect(await route('pk-demo-balanced')).toBe('hit');
    expect(await route('pk-demo-open')).toBe('miss');
  });

  test.each([
    ['none', ['policy', 'receipt']],
    ['summary', SUMMARY],
    ['tokens', [...SUMMARY, 'tokens']],
  ])('with trace %s, has just the matching extension fields', async (trace, keys) => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Trace'), plimsoll: { trace } });
    const { plimsoll } = ChatCompletion.parse(await answer.json());
    expect(Object.keys(plimsoll).sort()).toEqual([...keys].sort());
    expect(plimsoll.tokens?.length ?? 13).toBe(13);
  });
});

describe('a streamed answer', () => {
  test('reaches the openai client as a role, then text, then one reason to finish', async () => {
    backend.behaviour = 'answer-slowly';
    const stream = await openaiClient(under.edge).chat.completions.create({ ...ask('Hi'), seed: 7, stream: true });
    const choices = [];
    for await (const chunk of stream) choices.push(chunk.choices[0]);
    expect(choices[0]?.delta).toEqual({ role: 'assistant', content: '', refusal: null });
    expect(choices.map((choice) => choice?.delta.content ?? '').join('')).toBe(SENTENCE);
    expect(choices.map((choice) => choice?.finish_reason).filter((reason) => reason !== null)).toEqual(['stop']);
    expect(choices.at(-1)).toMatchObject({ delta: {}, finish_reason: 'stop' });
    expect(choices.length).toBeGreaterThan(5);
  });

  test('has the summary on its last chunk, has no usage unless asked, and ends with [DONE]', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), stream: true });
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
    const { chunks, isDone } = await readEvents(answer);
    expect(isDone).toBe(true);
    expect(chunks.filter((chunk) => 'usage' in chunk)).toEqual([]);
    expect(chunks.slice(0, -1).filter((chunk) => 'plimsoll' in chunk)).toEqual([]);
    expect(AnswerExtension.parse(chunks.at(-1)?.plimsoll)).toMatchObject({ floor: 0.3, budget: 20 });
    expect(
      new Set(chunks.map(({ id, created, system_fingerprint }) => `${id} ${created} ${system_fingerprint}`)).size,
    ).toBe(1);
  });

  test('with include_usage, has usage on one chunk and null on all others', async () => {
    const options = { stream: true, stream_options: { include_usage: true } };
    const { chunks, isDone } = await readEvents(
      await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), ...options }),
    );
    expect(isDone).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 13 } });
    expect(AnswerExtension.safeParse(chunks.at(-1)?.plimsoll).success).toBe(true);
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
  });

  test('with trace tokens, has tokens on every chunk, all of them in order', async () => {
    backend.behaviour = 'answer-slowly';
    const { chunks } = await readEvents(
      await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), stream: true, plimsoll: { trace: 'tokens' } }),
    );
    expect(chunks.every(({ plimsoll }) => Array.isArray(plimsoll?.tokens))).toBe(true);
    const tokens = chunks.flatMap(({ plimsoll }) => plimsoll?.tokens ?? []);
    expect(tokens.map(({ id }) => id)).toEqual(Array.from({ length: 13 }, (_, index) => 100 + index));
    expect(tokens.every(({ weight, floor, spent }) => weight >= floor && (spent ?? 21) <= 20)).toBe(true);
    expect(tokens.map(({ text }) => text).join('')).toBe(
      chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
    );
  });
});

describe('what reaches the backend', () => {
  const seenAfter = async (body: object) => {
    const answer = await post(under.edge, '/v1/chat/completions', body);
    expect(await answer.json()).toHaveProperty('choices');
    return backend.seen.at(-1)?.request;
  };

  test('OpenAI defaults, the policy limit, and a seed if none was given', async () => {
    const request = await seenAfter(ask('Plain'));
    expect(request).toMatchObject({ max_tokens: 1024, stop: [], temperature: 1, top_p: 1 });
    const again = await seenAfter(ask('Plain'));
    expect(again?.seed).not.toBe(request?.seed);
  });

  test('the sampling parameters as asked, text parts joined, developer as system', async () => {
    const request = await seenAfter({
      model: 'scripted',
      messages: [
        { role: 'developer', content: 'Be brief.', name: 'dev' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'One' },
            { type: 'text', text: 'two \ud800' },
          ],
        },
        { role: 'assistant', content: 'Three.' },
        { role: 'user', content: 'Four?' },
      ],
      ...{ max_tokens: 9, max_completion_tokens: 8, stop: 'to', seed: 42, temperature: 0, top_p: 0.5 },
      ...{ n: 1, user: 'u', metadata: { a: 'b' }, store: false, tools: [], logprobs: false, presence_penalty: 0 },
      ...{ response_format: { type: 'text' }, parallel_tool_calls: true, stream: null },
    });
    expect(request).toEqual({
      model: 'scripted',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'One\ntwo \ufffd' },
        { role: 'assistant', content: 'Three.' },
        { role: 'user', content: 'Four?' },
      ],
      max_tokens: 8,
      stop: ['to'],
      seed: 42,
      temperature: 0,
      top_p: 0.5,
    });
  });

  test('what each expert gives a token, only if the trace shows it', async () => {
    expect(await seenAfter(ask('Plain'))).not.toHaveProperty('expert_logprobs');
    const traced = await seenAfter({ ...ask('Plain'), plimsoll: { trace: 'tokens' } });
    expect(traced).toHaveProperty('expert_logprobs', true);
  });

  test('a 64-bit seed, exact to its last digit there and in the receipt', async () => {
    for (const seed of ['9223372036854775807', '-9223372036854775808', '9007199254740993']) {
      const body = JSON.stringify({ ...ask('A long seed "seed": 1'), seed: 0 }).replace('"seed":0', `"seed": ${seed}`);
      const answer = await post(under.edge, '/v1/chat/completions', body);
      const { plimsoll } = ChatCompletion.parse(await answer.json());
      expect(backend.seen.at(-1)?.request.seed).toBe(seed);
      expect(await verifyReceipt(plimsoll.receipt ?? '', under.receiptKey.jwks)).toMatchObject({ seed });
    }
    for (const seed of ['9223372036854775808', '1e300', '9007199254740993.5']) {
      const body = JSON.stringify({ ...ask('Too long'), seed: 0 }).replace('"seed":0', `"seed": ${seed}`);
      const { status } = await post(under.edge, '/v1/chat/completions', body);
      expect(status, seed).toBe(400);
    }
  });

  test('at most the tokens that the policy allows', async () => {
    expect(await seenAfter({ ...ask('Long'), max_tokens: 100_000 })).toMatchObject({ max_tokens: 1024 });
  });
});

test('an answer ends just before a stop string, and ends with the reason length at a token limit', async () => {
  const client = openaiClient(under.edge);
  const stopped = await client.chat.completions.create({ ...ask('Stop'), seed: 7, stop: ['nothing', 'seed 7'] });
  expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'The answer to ' } });
  const cut = await client.chat.completions.create({ ...ask('Cut'), seed: 7, max_completion_tokens: 3 });
  expect(cut.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: 'The answer to' } });
  expect(cut.usage?.completion_tokens).toBe(3);
});
