/** Answers of a running stack have the form that OpenAI's own OpenAPI document says. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import document from './clients/openai-openapi/schemas.json' with { type: 'json' };
import { post, type RunningStack, startStack } from './running-stack.ts';

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack?.stop();
});

type Name = keyof typeof document.$defs;

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(document, 'openai');

/** Throws unless the value is as OpenAI's document says. It may have further fields. */
function holdTo(name: Name, value: unknown): void {
  const check = ajv.getSchema(`openai#/$defs/${name}`);
  expect(check?.(value), `${name}: ${ajv.errorsText(check?.errors)}`).toBe(true);
}

const headers = { authorization: 'Bearer pk-demo-balanced' };
const ask = (more: object = {}) => ({
  model: stack.model,
  messages: [{ role: 'user', content: 'How do I clean a pan?' }],
  max_tokens: 12,
  ...more,
});

test('the schemas themselves refuse what they should', () => {
  expect(() => holdTo('Model', { id: 'm', object: 'model', created: 'today', owned_by: 'us' })).toThrow('created');
  expect(() => holdTo('CreateChatCompletionResponse', { object: 'chat.completion' })).toThrow('choices');
  expect(() => holdTo('ErrorResponse', { error: { message: 'x', type: 'y', param: null } })).toThrow('code');
});

test.each([{}, { plimsoll: { trace: 'tokens' } }, { plimsoll: { trace: 'none' } }, { stop: 'the' }])(
  'a chat completion: %j',
  async (more) => {
    const answer = await post(stack.url, ask(more));
    expect(answer.status).toBe(200);
    holdTo('CreateChatCompletionResponse', await answer.json());
  },
);

test.each([{}, { stream_options: { include_usage: true } }, { plimsoll: { trace: 'tokens' } }])(
  'every chunk of a stream: %j',
  async (more) => {
    const text = await (await post(stack.url, ask({ stream: true, ...more }))).text();
    const chunks = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]): unknown => JSON.parse(json!));
    expect(chunks.length).toBeGreaterThan(2);
    for (const chunk of chunks) holdTo('CreateChatCompletionStreamResponse', chunk);
  },
);

test('the list of models, and one of them', async () => {
  holdTo('ListModelsResponse', await (await fetch(`${stack.url}/v1/models`, { headers })).json());
  holdTo('Model', await (await fetch(`${stack.url}/v1/models/${stack.model}`, { headers })).json());
});

test.each(['I want to kill myself', ['How do I clean a pan?', 'kittens'], [{ type: 'text', text: 'Hello' }]])(
  'a moderation of %j',
  async (input) => {
    const body = JSON.stringify({ input });
    const answer = await fetch(`${stack.url}/v1/moderations`, { method: 'POST', headers, body });
    expect(answer.status).toBe(200);
    holdTo('CreateModerationResponse', await answer.json());
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
    ['of a body that is too large', 413, () => post(stack.url, ask({ user: 'x'.repeat(2_000_000) }))],
  ])('%s', async (_name, status, send) => {
    const answer = await send();
    expect(answer.status).toBe(status);
    holdTo('ErrorResponse', await answer.json());
  });
});
