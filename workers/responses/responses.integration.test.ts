/** `POST /v1/responses`, as OpenAI's client and a raw reader see it: the Worker in workerd. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { ResponseEvent } from '#shared/api/responses-events.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { type EdgeUnderTest, eventually, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { lastResponse, only, readEvents, readResponse } from '../testing/read-response.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 1000, probeOf: () => ({}) });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.behaviour = 'answer';
  backend.probe = {};
  backend.seen.length = 0;
});

const SENTENCE = 'The answer to seed 7 is ⚓ and no more.';
const TEXT = { annotations: [], logprobs: [] };
const ask = (input: unknown, more: object = {}) => ({ model: 'scripted', input, seed: 7, ...more });
const respond = (body: object, key?: string) => post(under.edge, '/v1/responses', body, key);
async function refusal(body: object, key?: string) {
  const answer = await respond(body, key);
  // The cast: the test reads what the table of errors promises.
  const { error } = (await answer.json()) as ErrorBody;
  return { status: answer.status, ...error };
}

describe('a whole response', () => {
  test('has one message, the usage, and the whole extension with a receipt', async () => {
    const response = await readResponse(await respond(ask('Hello there')));
    expect(response).toMatchObject({
      status: 'completed',
      model: 'scripted',
      store: false,
      error: null,
      incomplete_details: null,
      usage: { input_tokens: 2, input_tokens_details: { cached_tokens: 1 }, output_tokens: 13, total_tokens: 15 },
      plimsoll: { policy: { tenant: 'demo-balanced' }, floor: 0.3, cache: { route: 'miss', answer: 'off' } },
    });
    const [item] = response.output;
    expect(response.output).toEqual([
      {
        type: 'message',
        id: expect.stringMatching(/^msg_[0-9a-f]{48}o0$/),
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text: SENTENCE, ...TEXT }],
      },
    ]);
    expect(item!.id).toContain(response.id.slice('resp_'.length));
    const receipt = await verifyReceipt(response.plimsoll?.receipt ?? '', under.receiptKey.jwks);
    expect(receipt).toMatchObject({ tenant: 'demo-balanced', seed: 7 });
  });

  test('says again what was asked', async () => {
    const asked = {
      instructions: 'Be brief.',
      max_output_tokens: 9,
      temperature: 0.5,
      top_p: 0.9,
      metadata: { thread: '7' },
      user: 'u',
      safety_identifier: 's',
      prompt_cache_key: 'p',
      parallel_tool_calls: false,
    };
    expect(await readResponse(await respond(ask('Hello', asked)))).toMatchObject(asked);
  });

  test('a slow one is white space first, and then the response', async () => {
    backend.behaviour = 'wait-first';
    const answer = await respond(ask('Slow'));
    const text = await answer.clone().text();
    expect(text).toMatch(/^ +\{"id":"resp_/);
    expect((await readResponse(answer)).output).toMatchObject([{ content: [{ text: SENTENCE }] }]);
  });
});

describe('a streamed response', () => {
  const ORDER = [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ];

  test('has the events that OpenAI has, each of its shape, in its order', async () => {
    backend.behaviour = 'answer-slowly';
    const answer = await respond(ask('Hi', { stream: true }));
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('x-plimsoll-cache')).toBe('off');
    const events = await readEvents(answer);
    const types = events.map(({ type }) => type);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual(ORDER);
    const deltas = only(events, 'response.output_text.delta');
    expect(deltas.length).toBeGreaterThan(5);
    expect(deltas.map(({ delta }) => delta).join('')).toBe(SENTENCE);
    expect(only(events, 'response.output_text.done')).toMatchObject([{ text: SENTENCE }]);
    const [created] = only(events, 'response.created');
    expect(created!.response).toMatchObject({ status: 'in_progress', output: [], model: 'scripted' });
    expect(created!.response).not.toHaveProperty('plimsoll');
    const ids = events.flatMap((event) =>
      'item_id' in event ? [event.item_id] : 'item' in event ? [event.item.id] : [],
    );
    expect(new Set(ids).size).toBe(1);
    expect(lastResponse(events)).toMatchObject({
      id: created!.response.id,
      status: 'completed',
      output: [{ id: ids[0], content: [{ text: SENTENCE }] }],
      usage: { input_tokens: 1, output_tokens: 13 },
      plimsoll: { floor: 0.3 },
    });
  });

  test('ends with the response that it would have been whole', async () => {
    const whole = await readResponse(await respond(ask('Same', { temperature: 0 })));
    const streamed = lastResponse(await readEvents(await respond(ask('Same', { temperature: 0, stream: true }))));
    const comparable = ({ id: _i, created_at: _c, completed_at: _d, plimsoll: _p, ...rest }: typeof whole) => ({
      ...rest,
      output: rest.output.map(({ id: _, ...item }) => item),
    });
    expect(comparable(streamed)).toEqual(comparable(whole));
  });

  test('with trace tokens, each token comes once, with the text that it has given', async () => {
    backend.behaviour = 'answer-slowly';
    const events = await readEvents(await respond(ask('Hi', { stream: true, plimsoll: { trace: 'tokens' } })));
    const deltas = only(events, 'response.output_text.delta');
    const tokens = deltas.flatMap(({ plimsoll }) => plimsoll?.tokens ?? []);
    expect(tokens.map(({ id }) => id)).toEqual(Array.from({ length: 13 }, (_, index) => 100 + index));
    for (const { delta, plimsoll } of deltas) {
      expect(plimsoll?.tokens?.map(({ text }) => text).join('')).toBe(delta);
    }
  });

  test('one that breaks says so, and is no good ending', async () => {
    backend.behaviour = 'forge-receipt';
    const events = await readEvents(await respond(ask('Hi', { stream: true })));
    expect(events.at(-2)).toMatchObject({ type: 'error', code: 'receipt_invalid', param: null });
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'server_error' } },
    });
    expect(only(events, 'response.completed')).toEqual([]);
  });

  test('a client that leaves frees the backend', async () => {
    backend.behaviour = 'answer-forever';
    const before = backend.aborted;
    const leaving = new AbortController();
    const answer = await fetch(`${under.edge.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: 'Bearer pk-demo-open' },
      body: JSON.stringify(ask('Endless', { stream: true })),
      signal: leaving.signal,
    });
    const reader = answer.body!.getReader();
    await reader.read();
    leaving.abort();
    await eventually(
      () => backend.aborted,
      (aborted) => aborted > before,
    );
  });
});

describe('log-probabilities', () => {
  const LOGPROBS = { include: ['message.output_text.logprobs'], top_logprobs: 2 };

  test('each token has one, whole and streamed, as in the chat route', async () => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const chat = { model: 'scripted', messages, seed: 7, logprobs: true, top_logprobs: 2 };
    const sent = await post(under.edge, '/v1/chat/completions', chat);
    const completion = ChatCompletion.parse(await sent.json());
    const theirs = completion.choices[0].logprobs!.content.map(({ token, logprob }) => ({ token, logprob }));
    const whole = await readResponse(await respond(ask('Hi', LOGPROBS)));
    expect(whole.output).toMatchObject([{ content: [{ logprobs: theirs }] }]);
    backend.behaviour = 'answer-slowly';
    const events = await readEvents(await respond(ask('Hi', { ...LOGPROBS, stream: true })));
    const deltas = only(events, 'response.output_text.delta').flatMap(({ logprobs }) => logprobs);
    expect(deltas.length).toBeGreaterThanOrEqual(theirs.length - 1);
    expect(lastResponse(events).output).toEqual(whole.output.map((item) => ({ ...item, id: expect.any(String) })));
    expect(only(events, 'response.output_text.done')).toMatchObject([{ logprobs: theirs }]);
  });

  test('nobody gets any who does not ask', async () => {
    const [item] = (await readResponse(await respond(ask('Hi')))).output;
    expect(item).toMatchObject({ content: [{ logprobs: [] }] });
  });
});

describe('how an answer ends', () => {
  const ends = async (body: object, key?: string) => {
    const whole = await readResponse(await respond(body, key));
    const streamed = await readEvents(await respond({ ...body, stream: true }, key));
    expect(lastResponse(streamed)).toMatchObject({
      status: whole.status,
      incomplete_details: whole.incomplete_details,
      completed_at: whole.completed_at === null ? null : expect.any(Number),
    });
    expect(streamed.at(-1)!.type).toBe(`response.${whole.status}`);
    return whole;
  };

  test('at its limit it is incomplete, and so is its last item', async () => {
    expect(await ends(ask('Cut', { max_output_tokens: 3 }))).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'The answer to' }] }],
      usage: { output_tokens: 3 },
    });
  });

  test('refused by the second look it is incomplete, with the words of the policy', async () => {
    backend.probe = { child_abuse: 0.999 };
    expect(await ends(ask('Hello'), 'pk-demo-strict')).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'content_filter' },
      output: [{ content: [{ type: 'output_text', text: expect.stringContaining("tenant's policy") }] }],
    });
  });

  test('refused at the edge it is the error of the chat route, with a receipt', async () => {
    for (const more of [{}, { stream: true }]) {
      expect(await refusal(ask('[[child_abuse=0.99]]', more), 'pk-demo-strict')).toMatchObject({
        status: 403,
        code: 'policy_refused',
        plimsoll: { receipt: expect.any(String) },
      });
    }
    expect(backend.seen).toEqual([]);
  });
});

describe('what reaches the backend', () => {
  const seenAfter = async (body: object) => {
    await readResponse(await respond(body));
    return backend.seen.at(-1)!.request;
  };

  test('instructions as the first system message, and items as messages', async () => {
    const input = [
      { role: 'developer', content: 'Use English.' },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'One' },
          { type: 'input_text', text: 'two \ud800' },
        ],
      },
      {
        type: 'message',
        id: 'msg_1',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'Three.', annotations: [], logprobs: [] }],
      },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'Not four.' }] },
      { role: 'user', content: 'Five?' },
    ];
    expect((await seenAfter(ask(input, { instructions: 'Be brief.' }))).messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'system', content: 'Use English.' },
      { role: 'user', content: 'One\ntwo \ufffd' },
      { role: 'assistant', content: 'Three.' },
      { role: 'assistant', content: 'Not four.' },
      { role: 'user', content: 'Five?' },
    ]);
  });

  test('the same request as through the chat route, so the same answer', async () => {
    const shared = { seed: 9, temperature: 0.5, top_p: 0.5, stop: ['more'] };
    const ours = await seenAfter({ ...ask('Hello'), ...shared, max_output_tokens: 8, plimsoll: { floor: 0.7 } });
    await post(under.edge, '/v1/chat/completions', {
      ...{ model: 'scripted', messages: [{ role: 'user', content: 'Hello' }] },
      ...{ ...shared, max_completion_tokens: 8, plimsoll: { floor: 0.7 } },
    });
    expect(backend.seen.at(-1)!.request).toEqual(ours);
    expect(backend.seen.at(-1)!.directive.line).toEqual(backend.seen.at(-2)!.directive.line);
  });

  test('a 64-bit seed, exact to its last digit', async () => {
    const body = JSON.stringify(ask('Long')).replace('"seed":7', '"seed":9223372036854775807');
    await readResponse(await post(under.edge, '/v1/responses', body));
    expect(backend.seen.at(-1)!.request.seed).toBe('9223372036854775807');
  });
});

describe('what is wrong', () => {
  test.each([
    [{ input: undefined }, 'missing_required_parameter', 'input'],
    [{ model: undefined }, 'missing_required_parameter', 'model'],
    [{ input: [] }, 'empty_array', 'input'],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'invalid_value', 'input[0].role'],
    [{ input: ['x'] }, 'invalid_type', 'input[0]'],
    [{ input: [{ role: 'user', content: 7 }] }, 'invalid_type', 'input[0].content'],
    [
      { input: ['One', 'two'].map((text) => ({ role: 'user', content: [{ type: 'input_image', text }] })) },
      'unsupported_value',
      'input[0].content[0].type',
    ],
    [
      { input: [{ role: 'user', content: [{ type: 'input_text' }] }] },
      'missing_required_parameter',
      'input[0].content[0].text',
    ],
    [{ input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }, 'unsupported_value', 'input[0].type'],
    [{ input: [{ type: 'web_search_call', id: 'ws_1' }] }, 'unsupported_value', 'input[0].type'],
    [{ max_output_tokens: 0 }, 'integer_below_min_value', 'max_output_tokens'],
    [{ temperature: 3 }, 'decimal_above_max_value', 'temperature'],
    [{ messages: [] }, 'unsupported_parameter', 'messages'],
    [{ max_tokens: 5 }, 'unsupported_parameter', 'max_tokens'],
    [{ response_format: { type: 'text' } }, 'unsupported_parameter', 'response_format'],
    [{ background: true }, 'unsupported_value', 'background'],
    [{ truncation: 'auto' }, 'unsupported_value', 'truncation'],
    [{ conversation: 'conv_1' }, 'unsupported_parameter', 'conversation'],
    [{ prompt: { id: 'pmpt_1' } }, 'unsupported_parameter', 'prompt'],
    [{ reasoning: { effort: 'high' } }, 'unsupported_value', 'reasoning.effort'],
    [{ text: { verbosity: 'low' } }, 'unsupported_value', 'text.verbosity'],
    [{ text: { format: { type: 'xml' } } }, 'invalid_value', 'text.format.type'],
    [{ tools: [{ type: 'web_search' }] }, 'unsupported_value', 'tools[0].type'],
    [{ tools: [{ type: 'function' }] }, 'missing_required_parameter', 'tools[0].name'],
    [{ tool_choice: { type: 'file_search' } }, 'unsupported_value', 'tool_choice.type'],
    [{ include: ['nonsense'] }, 'invalid_value', 'include[0]'],
    [{ metadata: { key: 'x'.repeat(513) } }, 'string_above_max_length', 'metadata.key'],
    [{ temprature: 1 }, 'unknown_parameter', 'temprature'],
    [{ plimsoll: { flor: 1 } }, 'unknown_parameter', 'plimsoll.flor'],
    [{ seed: 'x' }, 'invalid_type', 'seed'],
    [{ model: 'none' }, 'model_not_found', 'model'],
    [{ input: 'long '.repeat(20_000) }, 'context_length_exceeded', 'input'],
  ])('%j is %s at %s', async (change, code, param) => {
    const { message, ...found } = await refusal({ ...ask('Hello'), ...change });
    expect({ ...found, message }).toMatchObject({ code, param });
    if (param !== 'input')
      expect(message).toContain(`'${param === 'model' && code !== 'missing_required_parameter' ? 'none' : param}'`);
    expect(backend.seen).toEqual([]);
  });

  test('what changes no answer is ignored, and a header says so if it asks for something', async () => {
    const harmless = {
      ...{ background: false, truncation: 'disabled', tools: [], tool_choice: 'auto', conversation: null },
      ...{ reasoning: { effort: 'none', summary: 'auto' }, include: ['reasoning.encrypted_content'] },
      ...{ text: { format: { type: 'text' }, verbosity: 'medium' }, service_tier: 'auto' },
    };
    const quiet = await respond(ask('Hello', harmless));
    await readResponse(quiet.clone());
    expect(quiet.headers.get('x-plimsoll-ignored')).toBeNull();
    const loud = await respond(ask('Hello', { service_tier: 'flex', max_tool_calls: 3 }));
    await readResponse(loud.clone());
    expect(loud.headers.get('x-plimsoll-ignored')).toBe('service_tier, max_tool_calls');
  });
});

describe("through OpenAI's client", () => {
  test('create gives the text', async () => {
    const response = await openaiClient(under.edge).responses.create({ model: 'scripted', input: 'Hello' });
    expect(response.output_text).toMatch(/^The answer to seed \d+ is ⚓ and no more\.$/);
    expect(response.usage?.total_tokens).toBe(14);
  });

  test('create with stream gives its events, and stream the final response', async () => {
    const client = openaiClient(under.edge);
    const types: ResponseEvent['type'][] = [];
    for await (const event of await client.responses.create({ model: 'scripted', input: 'Hello', stream: true })) {
      // The cast: the client hands on what was sent.
      types.push(event.type as ResponseEvent['type']);
    }
    expect(types.at(0)).toBe('response.created');
    expect(types.at(-1)).toBe('response.completed');
    const stream = client.responses.stream({ model: 'scripted', input: 'Hello' });
    let text = '';
    stream.on('response.output_text.delta', ({ delta }) => {
      text += delta;
    });
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(text);
    expect(text).toMatch(/^The answer/);
  });

  test('an error has its status, code and param', async () => {
    const wrong = openaiClient(under.edge).responses.create({ model: 'none', input: 'Hello' });
    await expect(wrong).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
  });
});

test('a whole one that breaks off after its status has gone is a failed response', async () => {
  backend.behaviour = 'stall-for-good-midway';
  const response = await readResponse(await respond(ask('Slow')));
  expect(response).toMatchObject({ status: 'failed', error: { code: 'server_error' }, output: [] });
});
