/** `POST /v1/responses` as OpenAI's client and a raw reader see it: the Worker in workerd. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ResponseObject } from '#shared/api/responses-answer.ts';
import { ResponseEvent } from '#shared/api/responses-events.ts';
import { type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 1000 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.behaviour = 'answer';
  backend.seen.length = 0;
});

const SENTENCE = 'The answer to seed 7 is ⚓ and no more.';
const ask = (input: unknown, more: object = {}) => ({ model: 'scripted', input, ...more });
const respond = (body: object, key?: string) => post(under.edge, '/v1/responses', body, key);

async function eventsOf(answer: Response): Promise<ResponseEvent[]> {
  const blocks = (await answer.text()).split('\n\n').filter((block) => block !== '' && !block.startsWith(':'));
  return blocks.map((block) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(block)!;
    const event = ResponseEvent.parse(JSON.parse(data!));
    expect(event.type).toBe(name);
    return event;
  });
}

describe('a whole response', () => {
  test('is a response with one message, the usage and the whole extension', async () => {
    const answer = await respond(ask('Hello there', { seed: 7 }));
    const response = ResponseObject.parse(await answer.json());
    expect(response).toMatchObject({
      status: 'completed',
      model: 'scripted',
      store: false,
      output: [
        {
          type: 'message',
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text: SENTENCE, annotations: [], logprobs: [] }],
        },
      ],
      usage: { input_tokens: 2, input_tokens_details: { cached_tokens: 1 }, output_tokens: 13, total_tokens: 15 },
      plimsoll: { policy: { tenant: 'demo-balanced' }, floor: 0.3, cache: { route: 'miss', answer: 'off' } },
    });
  });
});

describe('a streamed response', () => {
  test('opens, fills and closes one message', async () => {
    const events = await eventsOf(await respond(ask('Hello there', { seed: 7, stream: true })));
    console.log(events.map(({ type }) => type));
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index));
  });
});

test('openai', async () => {
  const client = openaiClient(under.edge);
  const response = await client.responses.create({ model: 'scripted', input: 'Hello' });
  console.log(response.output_text, response);
  const stream = client.responses.stream({ model: 'scripted', input: 'Hello' });
  for await (const event of stream) void event;
  console.log((await stream.finalResponse()).output_text);
});
