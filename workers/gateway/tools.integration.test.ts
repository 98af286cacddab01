/**
 * Tools, from the client to the backend and back: the unchanged `openai` client against workerd.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  type EdgeUnderTest,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { holdToOpenAI, readHeldChunks } from '../testing/hold-to-openai.ts';

let under: EdgeUnderTest;

beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2, contextOf: () => 4000 });
});
afterAll(() => under.dispose());
beforeEach(() => {
  for (const one of under.backends) {
    one.behaviour = 'answer';
    one.says = null;
    one.seen.length = 0;
  }
});

const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
} as const;

/** A text in tokens of three characters. */
const tokens = (text: string) => text.match(/.{1,3}/gsu) ?? [];
const say = (text: string | ((asked: GenerateRequest) => string)) => {
  for (const one of under.backends) one.says = (asked) => tokens(typeof text === 'string' ? text : text(asked));
};
const ask = (more: object = {}) => ({
  model: 'scripted',
  messages: [{ role: 'user', content: 'How is the weather in Oslo?' }],
  tools: [WEATHER],
  ...more,
});
const completion = async (body: object) => {
  const answer = await post(under.edge, '/v1/chat/completions', body);
  expect(answer.status, await answer.clone().text()).toBe(200);
  return readCompletion(answer);
};
const readCompletion = async (answer: Response) => {
  const value: unknown = await answer.json();
  holdToOpenAI('CreateChatCompletionResponse', value);
  return ChatCompletion.parse(value);
};

const OSLO = '{"city": "Oslo"}';

describe.each<[ToolSyntax, string]>([
  ['hermes', `<tool_call>\n{"name": "get_weather", "arguments": ${OSLO}}\n</tool_call>`],
  ['llama3', `{"name": "get_weather", "parameters": ${OSLO}}`],
  ['mistral', `[TOOL_CALLS] [{"name": "get_weather", "arguments": ${OSLO}}]`],
])('a model that writes calls as %s', (syntax, text) => {
  let own: EdgeUnderTest;
  beforeAll(async () => {
    own = await startEdgeUnderTest({ contextOf: () => 4000, toolSyntaxOf: () => syntax });
    own.backends[0]!.says = () => tokens(text);
  });
  afterAll(() => own.dispose());

  test('answers with a call, whole and streamed', async () => {
    const answer = await post(own.edge, '/v1/chat/completions', ask());
    const { choices, usage, plimsoll } = await readCompletion(answer);
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: null,
        tool_calls: [
          {
            id: expect.stringMatching(/^call_[0-9a-f]{32}_0_0$/),
            type: 'function',
            function: { name: 'get_weather', arguments: OSLO },
          },
        ],
      },
    });
    expect(usage.completion_tokens).toBe(tokens(text).length);
    // The message has not all of the text, and the receipt is for all of it.
    expect(plimsoll.drawn_text).toBe(text);
    const evidence = { jwks: own.receiptKey.jwks, prompt: JSON.stringify(ask()), answer: plimsoll.drawn_text };
    expect(await inspectReceipt(plimsoll.receipt!, evidence)).toMatchObject({ genuine: true });

    const streamed = await post(own.edge, '/v1/chat/completions', ask({ stream: true }));
    readHeldChunks('CreateChatCompletionStreamResponse', await streamed.text());

    const stream = openaiClient(own.edge).chat.completions.stream(ask() as never);
    let pieces = 0;
    stream.on('tool_calls.function.arguments.delta', () => pieces++);
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ function: { name: 'get_weather', arguments: OSLO } }] },
    });
    expect(pieces).toBeGreaterThan(1);
  });
});

describe('the conversation', () => {
  test("runs as the client's own loop drives it, until the model has its results", async () => {
    say((asked) =>
      asked.messages.some(({ role }) => role === 'tool')
        ? `It is ${asked.messages.at(-1)?.content}.`
        : `Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": ${OSLO}}\n</tool_call>`,
    );
    const cities: string[] = [];
    const runner = openaiClient(under.edge).chat.completions.runTools({
      ...ask(),
      tools: [
        {
          type: 'function',
          function: {
            ...WEATHER.function,
            parse: JSON.parse,
            function: ({ city }: { city: string }) => {
              cities.push(city);
              return '12 degrees';
            },
          },
        },
      ],
    } as never);
    expect(await runner.finalContent()).toBe('It is 12 degrees.');
    expect(cities).toEqual(['Oslo']);
    const asked = under.backends.flatMap(({ seen }) => seen).at(-1)!.request;
    expect(asked.messages).toEqual([
      { role: 'user', content: 'How is the weather in Oslo?' },
      {
        role: 'assistant',
        content: 'Let me see.',
        tool_calls: [{ id: 'call00000', name: 'get_weather', arguments: OSLO }],
      },
      { role: 'tool', content: '12 degrees', tool_call_id: 'call00000' },
    ]);
    const { name, description, parameters } = WEATHER.function;
    expect(asked.tools).toEqual([{ name, description, parameters: JSON.stringify(parameters) }]);
  });

  test('says what is said, and numbers several calls', async () => {
    const call = (city: string) =>
      `<tool_call>\n{"name": "get_weather", "arguments": {"city": "${city}"}}\n</tool_call>`;
    say(`Both:\n${call('Oslo')}\n${call('Rome')}`);
    const { message } = (await completion(ask())).choices[0];
    expect(message.content).toBe('Both:');
    expect(message.tool_calls?.map(({ function: called }) => called.arguments)).toEqual([OSLO, '{"city": "Rome"}']);
    expect(new Set(message.tool_calls?.map(({ id }) => id)).size).toBe(2);
    const one = (await completion(ask({ parallel_tool_calls: false }))).choices[0];
    expect(one.message.tool_calls).toHaveLength(1);
  });

  test('an answer that is cut off in a call says `length`, with what there is of the call', async () => {
    const text = `<tool_call>\n{"name": "get_weather", "arguments": ${OSLO}}`;
    say(text);
    const { message, finish_reason } = (await completion(ask({ max_tokens: 17 }))).choices[0];
    expect(finish_reason).toBe('length');
    const begun = OSLO.slice(0, OSLO.length - (text.length - 17 * 3 - 1));
    expect(message.tool_calls?.[0]?.function.arguments).toBe(begun);
    const early = (await completion(ask({ max_tokens: 8 }))).choices[0];
    expect(early.message).toMatchObject({ content: text.slice(0, 24) });
    expect(early.message).not.toHaveProperty('tool_calls');
  });

  test('without tools, or with `none`, no call is looked for, and the model is told of no tool', async () => {
    const text = `<tool_call>{"name": "get_weather", "arguments": ${OSLO}}</tool_call>`;
    say(text);
    for (const body of [ask({ tools: undefined }), ask({ tool_choice: 'none' })]) {
      const [choice] = (await completion(body)).choices;
      expect(choice).toMatchObject({ finish_reason: 'stop', message: { content: text } });
    }
    expect(under.backends.flatMap(({ seen }) => seen).every(({ request }) => request.tools === undefined)).toBe(true);
  });

  test('an answer that another backend goes on with has its call once', async () => {
    say(`Wait. <tool_call>\n{"name": "get_weather", "arguments": ${OSLO}}\n</tool_call>`);
    for (const one of under.backends) one.behaviour = 'die-midway';
    setTimeout(() => {
      for (const one of under.backends) one.behaviour = 'answer';
    }, 300);
    const { message } = (await completion(ask())).choices[0];
    expect(message).toMatchObject({ content: 'Wait.', tool_calls: [{ function: { arguments: OSLO } }] });
  });

  test('a trace tells every token once, also those of calls', async () => {
    const text = `So: <tool_call>\n{"name": "get_weather", "arguments": ${OSLO}}\n</tool_call>`;
    say(text);
    const stream = await openaiClient(under.edge).chat.completions.create({
      ...(ask() as unknown as { model: string; messages: [] }),
      stream: true,
      ...{ plimsoll: { trace: 'tokens' } },
    });
    let told = '';
    for await (const chunk of stream) {
      const { plimsoll } = chunk as unknown as { plimsoll?: { tokens?: { text: string }[] } };
      told += (plimsoll?.tokens ?? []).map((token) => token.text).join('');
    }
    expect(told).toBe(text);
  });
});

describe('what is wrong is said', () => {
  const call = { id: 'a', type: 'function', function: { name: 'get_weather', arguments: '{}' } };
  const user = { role: 'user', content: 'Hi' };
  const called = { role: 'assistant', content: null, tool_calls: [call] };
  test.each<[string, object, string, string]>([
    [
      'a result without a call',
      { messages: [user, { role: 'tool', tool_call_id: 'x', content: '1' }] },
      'invalid_value',
      'messages[1].tool_call_id',
    ],
    [
      'a result of another call',
      { messages: [user, called, { role: 'tool', tool_call_id: 'b', content: '1' }] },
      'invalid_value',
      'messages[2].tool_call_id',
    ],
    [
      'a result without an id',
      { messages: [user, called, { role: 'tool', content: '1' }] },
      'missing_required_parameter',
      'messages[2].tool_call_id',
    ],
    ['a call without a result', { messages: [user, called, user] }, 'invalid_value', 'messages[1].tool_calls'],
    ['a call at the end', { messages: [user, called] }, 'invalid_value', 'messages[1].tool_calls'],
    [
      'two calls of one id',
      { messages: [user, { ...called, tool_calls: [call, call] }] },
      'invalid_value',
      'messages[1].tool_calls[1].id',
    ],
    ['no content', { messages: [{ role: 'assistant', content: null }] }, 'invalid_type', 'messages[0].content'],
    [
      'a wrong name',
      { tools: [{ type: 'function', function: { name: 'a b' } }] },
      'invalid_value',
      'tools[0].function.name',
    ],
    ['two tools of one name', { tools: [WEATHER, WEATHER] }, 'invalid_value', 'tools[1].function.name'],
    ['another kind of tool', { tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'invalid_value', 'tools[0].type'],
    [
      'too many tools',
      { tools: Array.from({ length: 129 }, (_, i) => ({ type: 'function', function: { name: `f${i}` } })) },
      'array_above_max_length',
      'tools',
    ],
    [
      'a choice of no tool',
      { tool_choice: { type: 'function', function: { name: 'other' } } },
      'invalid_value',
      'tool_choice.function.name',
    ],
    ['a choice without tools', { tools: undefined, tool_choice: 'required' }, 'invalid_value', 'tool_choice'],
    ['legacy functions', { functions: [{ name: 'f' }] }, 'unsupported_parameter', 'functions'],
    ['a legacy choice', { function_call: { name: 'f' } }, 'unsupported_parameter', 'function_call'],
  ])('%s', async (_, more, code, param) => {
    const answer = await post(under.edge, '/v1/chat/completions', ask(more));
    expect(await answer.json()).toMatchObject({ error: { code, param, message: expect.stringContaining(param) } });
    expect(answer.status).toBe(400);
  });
});

test('what tools are, take and were called with is read as if it had been said', async () => {
  const text = '[[hate=0.2]]';
  const readAs = async (body: object) => {
    const { plimsoll } = await completion(ask({ tools: undefined, ...body }));
    // The cast: the default trace has the summary.
    return (plimsoll as { categories: unknown }).categories;
  };
  const say = (content: string) => ({ messages: [{ role: 'user', content }] });
  const tool = (more: object) => ({ ...say('Hi'), tools: [{ type: 'function', function: { name: 'f', ...more } }] });
  for (const one of under.backends) one.says = () => ['No.'];
  const plain = await readAs(say('Hi'));
  const said = await readAs(say(`Hi\nf\n${text}`));
  expect(said).not.toEqual(plain);
  expect(await readAs(tool({ description: text }))).toEqual(said);
  expect(await readAs(tool({ parameters: { type: 'object', properties: {}, description: text } }))).toEqual(said);
  expect(await readAs({ ...tool({ description: text }), tool_choice: 'none' })).toEqual(plain);
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: JSON.stringify({ [text]: text }) } };
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: 'a', content: text },
  ];
  expect(await readAs({ messages })).toEqual(await readAs(say(`Hi\n\nf\n${text}\n${text}\n${text}`)));
});

test('a backend that takes no tools is not asked about any, and nobody is if none does', async () => {
  const mixed = await startEdgeUnderTest({ backendCount: 2, toolSyntaxOf: (i) => (i === 0 ? null : 'hermes') });
  try {
    for (let i = 0; i < 4; i++) {
      const messages = [{ role: 'user', content: `Hello ${i}` }];
      expect((await post(mixed.edge, '/v1/chat/completions', ask({ messages }))).status).toBe(200);
    }
    expect(mixed.backends.map(({ seen }) => seen.length)).toEqual([0, 4]);
  } finally {
    await mixed.dispose();
  }
  const old = await startEdgeUnderTest({ toolSyntaxOf: () => null });
  try {
    const answer = await post(old.edge, '/v1/chat/completions', ask());
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'unsupported_value', param: 'tools' } });
  } finally {
    await old.dispose();
  }
});

test('a tenant whose policy forbids tools may offer none', async () => {
  const access = 'pk-no-tools';
  const policy = { floor: 0, budget: null, shaping: { tools: false } };
  const put = await fetch(`${under.edge.url}/admin/v1/tenants/no-tools`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    body: JSON.stringify({ name: 'no-tools', policy, keys: [{ id: 'main', sha256: sha256(access) }] }),
  });
  expect(put.status, await put.text()).toBe(200);
  const answer = await post(under.edge, '/v1/chat/completions', ask(), access);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { code: 'unsupported_value', param: 'tools' } });
  expect((await post(under.edge, '/v1/chat/completions', ask({ tools: [] }), access)).status).toBe(200);
});
