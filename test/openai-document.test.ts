/** Answers of a running stack have the form that OpenAI's own OpenAPI document says. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdToOpenAI, readHeldChunks } from '#workers/testing/hold-to-openai.ts';
import { readEvents, readResponse } from '#workers/testing/read-response.ts';
import { post, type RunningStack, startStack } from './running-stack.ts';

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack?.stop();
});

const headers = { authorization: 'Bearer pk-demo-balanced', 'content-type': 'application/json' };
const send = (path: string, body: object) =>
  fetch(`${stack.url}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify({ model: stack.model, ...body }) });
const ask = (more: object = {}) => ({
  model: stack.model,
  messages: [{ role: 'user', content: 'How do I clean a pan?' }],
  max_tokens: 12,
  // A stream that ends at its first token has too few chunks to look at.
  seed: 1,
  ...more,
});

test('the schemas themselves refuse what they should', () => {
  expect(() => holdToOpenAI('Model', { id: 'm', object: 'model', created: 'today', owned_by: 'us' })).toThrow(
    'created',
  );
  expect(() => holdToOpenAI('CreateChatCompletionResponse', { object: 'chat.completion' })).toThrow('choices');
  expect(() => holdToOpenAI('ErrorResponse', { error: { message: 'x', type: 'y', param: null } })).toThrow('code');
});

const KITCHEN = {
  ...{ type: 'object', required: ['minutes'], additionalProperties: false },
  properties: { minutes: { type: 'integer', minimum: 1, maximum: 60 } },
};

/** One call, and nothing else. */
const FORCED = { tool_choice: 'required', parallel_tool_calls: false };
const CALL = { ...FORCED, tools: [{ type: 'function', function: { name: 'ask', parameters: KITCHEN } }] };
const RESPONSE_CALL = { ...FORCED, tools: [{ type: 'function', name: 'ask', parameters: KITCHEN, strict: true }] };

test.each([
  {},
  { plimsoll: { trace: 'tokens' } },
  { plimsoll: { trace: 'none' } },
  { stop: 'the' },
  { n: 2, logprobs: true, top_logprobs: 3 },
  { response_format: { type: 'json_schema', json_schema: { name: 'kitchen', schema: KITCHEN } } },
  { ...CALL, max_tokens: 80 },
])('a chat completion: %j', async (more) => {
  const answer = await post(stack.url, ask(more));
  expect(answer.status).toBe(200);
  holdToOpenAI('CreateChatCompletionResponse', await answer.json());
});

test.each([
  {},
  { stream_options: { include_usage: true } },
  { plimsoll: { trace: 'tokens' } },
  { n: 2, logprobs: true, top_logprobs: 3 },
])('every chunk of a stream: %j', async (more) => {
  const text = await (await post(stack.url, ask({ stream: true, ...more }))).text();
  expect(readHeldChunks('CreateChatCompletionStreamResponse', text).length).toBeGreaterThan(2);
});

test.each([{}, { prompt: ['one', 'two'], n: 2 }, { logprobs: 2 }])('a plain completion: %j', async (more) => {
  const body = { prompt: 'How do I clean a pan?', max_tokens: 8, seed: 1, ...more };
  const answer = await send('completions', body);
  expect(answer.status).toBe(200);
  holdToOpenAI('CreateCompletionResponse', await answer.json());
  const stream = await send('completions', { ...body, stream: true });
  // The document has no word for a choice that goes on. OpenAI writes null, as in chat.
  const ended = (await stream.text()).replaceAll('"finish_reason":null', '"finish_reason":"stop"');
  expect(readHeldChunks('CreateCompletionResponse', ended).length).toBeGreaterThan(2);
});

test.each([
  {},
  { max_output_tokens: 5 },
  { include: ['message.output_text.logprobs'], top_logprobs: 2 },
  { text: { format: { type: 'json_schema', name: 'kitchen', schema: KITCHEN } }, metadata: { page: '7' } },
  RESPONSE_CALL,
])('a response and its events: %j', async (more) => {
  const body = { instructions: 'Be brief.', input: 'How do I clean a pan?', ...more };
  await readResponse(await send('responses', body));
  const events = await readEvents(await send('responses', { ...body, stream: true }));
  expect(events.length).toBeGreaterThan(6);
});

test('the list of models, and one of them', async () => {
  const tokenizing = { method: 'POST', headers, body: JSON.stringify({ model: stack.model, prompt: 'x' }) };
  holdToOpenAI('ListModelsResponse', await (await fetch(`${stack.url}/v1/models`, { headers })).json());
  const model = await (await fetch(`${stack.url}/v1/models/${stack.model}`, { headers })).json();
  holdToOpenAI('Model', model);
  // As vLLM has it: clients look for it there, and /tokenize says the same.
  // The cast: the test compares what it reads.
  const { max_model_len } = (await (await fetch(`${stack.url}/tokenize`, tokenizing)).json()) as {
    max_model_len: number;
  };
  expect(max_model_len).toBeGreaterThan(0);
  expect(model).toMatchObject({ max_model_len, plimsoll: { context_length: max_model_len } });
});

test.each(['I want to kill myself', ['How do I clean a pan?', 'kittens'], [{ type: 'text', text: 'Hello' }]])(
  'a moderation of %j',
  async (input) => {
    const answer = await send('moderations', { model: undefined, input });
    expect(answer.status).toBe(200);
    holdToOpenAI('CreateModerationResponse', await answer.json());
  },
);

describe('an error', () => {
  test.each<[string, number, () => Promise<Response>]>([
    ['of the body', 400, () => post(stack.url, '{')],
    ['of a field', 400, () => post(stack.url, ask({ temperature: 3 }))],
    ['of a field that is not supported', 400, () => post(stack.url, ask({ audio: { voice: 'alloy' } }))],
    ['of the key', 401, () => post(stack.url, ask(), { key: 'pk-wrong' })],
    ['of the model', 404, () => post(stack.url, ask({ model: 'gpt-9' }))],
    ['of the address', 404, () => fetch(`${stack.url}/v1/nothing`)],
    ['of the method', 405, () => fetch(`${stack.url}/v1/chat/completions`)],
    ['of a response that is not supported', 400, () => send('responses', { input: 'Hi', background: true })],
    ['of a response that nobody stored', 404, () => fetch(`${stack.url}/v1/responses/resp_1`, { headers })],
    ['of a body that is too large', 413, () => post(stack.url, ask({ user: 'x'.repeat(2_000_000) }))],
  ])('%s', async (_name, status, send) => {
    const answer = await send();
    expect(answer.status).toBe(status);
    holdToOpenAI('ErrorResponse', await answer.json());
  });
});
