/**
 * `tool_choice` and `strict` through the edge in workerd: what backends are asked to hold their
 * answers to, what comes back, and what is refused.
 */
import { zodFunction } from 'openai/helpers/zod';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  type EdgeUnderTest,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';

const SAYS: Readonly<Record<ToolSyntax, string>> = {
  hermes: '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
  llama3: '{"name": "get_weather", "parameters": {"city": "Oslo"}}',
  mistral: '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Oslo"}}]',
};

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 4000 });
});
afterAll(() => under.dispose());
beforeEach(() => {
  const [backend] = under.backends;
  backend!.says = () => SAYS.hermes.match(/.{1,3}/gsu) ?? [];
  backend!.seen.length = 0;
});

const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tool = (name: string, more: object = { parameters: CITY }) => ({ type: 'function', function: { name, ...more } });
const WEATHER = tool('get_weather');
const TIMES = { $defs: { zone: { enum: ['UTC'] } }, properties: { zone: { $ref: '#/$defs/zone' } } };
const TIME = tool('get_time', { parameters: TIMES });
const ask = (more: object = {}) => ({
  model: 'scripted',
  messages: [{ role: 'user', content: 'How is the weather in Oslo?' }],
  tools: [WEATHER, TIME],
  ...more,
});
const named = (name: string) => ({ type: 'function', function: { name } });
const allowed = (mode: string, ...names: string[]) => ({
  type: 'allowed_tools',
  allowed_tools: { mode, tools: names.map(named) },
});

async function completion(more: object) {
  const answer = await post(under.edge, '/v1/chat/completions', ask(more));
  expect(answer.status, await answer.clone().text()).toBe(200);
  return ChatCompletion.parse(await answer.json());
}
async function refused(more: object, key?: string) {
  const answer = await post(under.edge, '/v1/chat/completions', ask(more), key);
  expect(answer.status, await answer.clone().text()).toBe(400);
  // The cast: the test reads what the table of errors promises.
  return ((await answer.json()) as ErrorBody).error;
}

const schema = (value: object): Grammar => ({ type: 'json_schema', schema: JSON.stringify(value) });
const OBJECT: Grammar = { type: 'json_object' };
const weather = (written: Grammar = schema(CITY)) => ({ name: 'get_weather', arguments: written });
const time = (written: Grammar = schema({ ...TIMES, type: 'object' })) => ({
  name: 'get_time',
  arguments: written,
});

describe('what the backend is asked to hold the answer to', () => {
  const strict = [tool('get_weather', { parameters: CITY, strict: true }), TIME];
  const both = [weather(), time()];
  test.each<[string, object, Parameters<typeof callGrammar>[1]]>([
    ['required', { tool_choice: 'required' }, { functions: both, forced: true, single: false }],
    [
      'required, one call',
      { tool_choice: 'required', parallel_tool_calls: false },
      { functions: both, forced: true, single: true },
    ],
    ['a named function', { tool_choice: named('get_weather') }, { functions: [weather()], forced: true, single: true }],
    [
      'some functions, required',
      { tool_choice: allowed('required', 'get_weather') },
      { functions: [weather()], forced: true, single: false },
    ],
    [
      'some functions, if any',
      { tool_choice: allowed('auto', 'get_weather') },
      { functions: [weather(OBJECT)], forced: false, single: false },
    ],
    [
      'a strict function among others',
      { tools: strict },
      { functions: [weather(), time(OBJECT)], forced: false, single: false },
    ],
    [
      'a strict function, one call',
      { tools: strict, tool_choice: 'auto', parallel_tool_calls: false },
      { functions: [weather(), time(OBJECT)], forced: false, single: true },
    ],
    [
      'no strict function, beside a format',
      { response_format: { type: 'json_object' } },
      { functions: [weather(OBJECT), time(OBJECT)], forced: false, single: false, otherwise: OBJECT },
    ],
    [
      'a strict function, beside a format',
      { tools: strict, response_format: { type: 'json_schema', json_schema: { name: 'a', schema: CITY } } },
      { functions: [weather(), time(OBJECT)], forced: false, single: false, otherwise: schema(CITY) },
    ],
    [
      'required, beside a format',
      { tool_choice: 'required', response_format: { type: 'json_object' } },
      { functions: both, forced: true, single: false },
    ],
    [
      'a function without parameters',
      { tools: [tool('get_time', {})], tool_choice: 'required' },
      {
        functions: [time(schema({ type: 'object', properties: {}, additionalProperties: false }))],
        forced: true,
        single: false,
      },
    ],
  ])('%s', async (_, more, calls) => {
    const { plimsoll } = await completion({ seed: 1, ...more });
    const grammar = callGrammar('hermes', calls);
    const { request } = under.backends[0]!.seen[0]!;
    expect(request.grammar).toEqual(grammar);
    // What the model is told is the same as without.
    expect(request.tools!.map(({ name }) => name)).toEqual(
      ('tools' in more ? (more.tools as (typeof WEATHER)[]) : [WEATHER, TIME]).map((one) => one.function.name),
    );
    const receipt = await verifyReceipt(plimsoll.receipt!, under.receiptKey.jwks);
    expect(receipt.grammar).toBe(await grammarDigest(grammar));
    const evidence = {
      jwks: under.receiptKey.jwks,
      prompt: JSON.stringify(ask({ seed: 1, ...more })),
      answer: plimsoll.drawn_text,
    };
    expect(await inspectReceipt(plimsoll.receipt!, evidence)).toMatchObject({ genuine: true });
    const other = JSON.stringify(ask({ seed: 1, ...more, tool_choice: 'none' }));
    expect(await inspectReceipt(plimsoll.receipt!, { ...evidence, prompt: other })).toMatchObject({ genuine: false });
  });

  test.each<[string, object]>([
    ['nothing where no function is strict', {}],
    ['nothing where nothing may be called', { tool_choice: 'none', tools: strict }],
  ])('%s', async (_, more) => {
    await completion(more);
    expect(under.backends[0]!.seen[0]!.request).not.toHaveProperty('grammar');
  });
});

describe.each(ToolSyntax.options)('a model that writes calls as %s', (syntax) => {
  let own: EdgeUnderTest;
  beforeAll(async () => {
    own = await startEdgeUnderTest({ contextOf: () => 4000, toolSyntaxOf: () => syntax });
    own.backends[0]!.says = () => SAYS[syntax].match(/.{1,3}/gsu) ?? [];
  });
  afterAll(() => own.dispose());

  test("is held to it, and OpenAI's client parses what it calls", async () => {
    const { choices } = await openaiClient(own.edge).chat.completions.parse({
      ...{ model: 'scripted', messages: [{ role: 'user', content: 'How is the weather in Oslo?' }] },
      tools: [zodFunction({ name: 'get_weather', parameters: z.object({ city: z.string() }) })],
      tool_choice: 'required',
    });
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: null,
        tool_calls: [{ function: { name: 'get_weather', parsed_arguments: { city: 'Oslo' } } }],
      },
    });
    const { request } = own.backends[0]!.seen[0]!;
    const { parameters } = request.tools![0]!;
    const functions = [weather({ type: 'json_schema', schema: parameters! })];
    expect(request.grammar).toEqual(callGrammar(syntax, { functions, forced: true, single: false }));
  });
});

describe('a 400 names the field, and what is wrong', () => {
  const bad = (parameters: object, more: object = {}) => ({
    tools: [WEATHER, tool('f', { parameters, ...more })],
  });
  test.each<[object, string, string, RegExp]>([
    [
      { ...bad({ properties: { a: { patternProperties: {} } } }), tool_choice: 'required' },
      'tools[1].function.parameters',
      'unsupported_value',
      /"#\/properties\/a\/patternProperties", is not supported/,
    ],
    [
      bad({ properties: { a: { patternProperties: {} } } }, { strict: true }),
      'tools[1].function.parameters',
      'unsupported_value',
      /"#\/properties\/a\/patternProperties", is not supported/,
    ],
    [
      { ...bad({ type: 'string' }), tool_choice: 'required' },
      'tools[1].function.parameters.type',
      'invalid_value',
      /expected "object", found "string"/,
    ],
    [
      { ...bad({ enum: ['x'] }), tool_choice: 'required' },
      'tools[1].function.parameters',
      'invalid_value',
      /no text at all|no value at all/,
    ],
    [
      { tool_choice: allowed('auto', 'get_weather', 'other') },
      'tool_choice.allowed_tools.tools[1].function.name',
      'invalid_value',
      /found "other"/,
    ],
    [{ tool_choice: allowed('auto') }, 'tool_choice.allowed_tools.tools', 'empty_array', /at least 1/],
    [{ tool_choice: 'required', allowed_token_ids: [1] }, 'allowed_token_ids', 'invalid_value', /'tool_choice'/],
    [{ tool_choice: 'required', plimsoll: { mode: 'edge' } }, 'tool_choice', 'unsupported_value', /mode "edge"/],
  ])('%j', async (more, param, code, message) => {
    const error = await refused(more);
    expect(error).toMatchObject({ param, code });
    expect(error.message).toMatch(message);
    expect(under.backends[0]!.seen).toEqual([]);
  });

  test('a schema that no grammar can hold is no error where none has to', async () => {
    await completion(bad({ properties: { a: { patternProperties: {} } } }));
    // Neither where its function may not be called.
    await completion({ ...bad({ properties: { a: { patternProperties: {} } } }), tool_choice: named('get_weather') });
  });

  test('a policy without grammars forbids calls that are held, and says how to ask', async () => {
    const access = 'pk-no-grammar';
    const policy = { floor: 0, budget: null, shaping: { grammar: false } };
    const put = await fetch(`${under.edge.url}/admin/v1/tenants/no-grammar`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
      body: JSON.stringify({ name: 'no-grammar', policy, keys: [{ id: 'main', sha256: sha256(access) }] }),
    });
    expect(put.status, await put.text()).toBe(200);
    expect(await refused({ tool_choice: 'required' }, access)).toMatchObject({
      ...{ code: 'unsupported_value', param: 'tool_choice' },
      message: expect.stringMatching(/policy \(shaping\.grammar\): expected "auto" or "none"/),
    });
    expect(await refused({ tools: [WEATHER, tool('f', { strict: true })] }, access)).toMatchObject({
      ...{ code: 'unsupported_value', param: 'tools[1].function.strict' },
      message: expect.stringMatching(/expected false/),
    });
    expect((await post(under.edge, '/v1/chat/completions', ask(), access)).status).toBe(200);
  });

  test('an unknown model is what is wrong, whatever it is asked to call', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', ask({ model: 'none', tool_choice: 'required' }));
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: 'model_not_found' } });
  });
});

describe('what the calls can be made to say', () => {
  const HARM = '[[violence=0.9]]';
  const most = ({ plimsoll }: ChatCompletion) =>
    // The cast: the default trace has the summary.
    Math.max(
      ...(plimsoll as { categories: { probability: number }[] }).categories.map(({ probability }) => probability),
    );

  test('is read like the prompt', async () => {
    expect(most(await completion({ tool_choice: 'required' }))).toBeLessThan(0.5);
    for (const parameters of [{ properties: { a: { const: HARM } } }, { properties: { [HARM]: {} } }]) {
      const tools = [tool('f', { parameters })];
      const read = most(await completion({ tools, tool_choice: 'required' }));
      expect(read, JSON.stringify(parameters)).toBeGreaterThan(0.5);
    }
  });

  test('counts as unread where it cannot be read', async () => {
    const parameters = { properties: { a: { allOf: [{ pattern: '^k.l.$' }, { pattern: '^.i.l$' }], type: 'string' } } };
    const unreadOf = async (more: object) =>
      ((await completion({ tools: [tool('f', { parameters })], ...more })).plimsoll as { unread: number }).unread;
    expect(await unreadOf({ tool_choice: 'required' })).toBe(1);
    expect(await unreadOf({})).toBe(0);
  });
});

describe('a text in stop that ends an answer inside of a call', () => {
  const stopped = async (says: string, more: object) => {
    under.backends[0]!.says = () => says.match(/.{1,3}/gsu) ?? [];
    const [choice] = (await completion(more)).choices;
    const stream = await post(under.edge, '/v1/chat/completions', ask({ ...more, stream: true }));
    expect(await stream.text()).toContain(`"finish_reason":"${choice.finish_reason}"`);
    const calls = choice.message.tool_calls?.map((call) => call.function.arguments);
    return { finish_reason: choice.finish_reason, calls };
  };
  const forced = { tool_choice: named('get_weather') };

  test('is a stop, as the call is not whole', async () => {
    expect(await stopped(SAYS.hermes, { ...forced, stop: ['Oslo'] })).toEqual({
      finish_reason: 'stop',
      calls: ['{"city": "'],
    });
    const second = `${SAYS.hermes}\n${SAYS.hermes.replace('Oslo', 'Rome')}`;
    expect(await stopped(second, { tool_choice: 'required', stop: ['Rome'] })).toEqual({
      finish_reason: 'stop',
      calls: ['{"city": "Oslo"}', '{"city": "'],
    });
  });

  test('leaves calls that are whole', async () => {
    const whole = { finish_reason: 'tool_calls', calls: ['{"city": "Oslo"}'] };
    expect(await stopped(SAYS.hermes, { ...forced, stop: ['}\n</tool_call>'] })).toEqual(whole);
    const second = `${SAYS.hermes}\n${SAYS.hermes.replace('Oslo', 'Rome')}`;
    expect(await stopped(second, { tool_choice: 'required', parallel_tool_calls: false, stop: ['Rome'] })).toEqual(
      whole,
    );
  });
});

test('beside a format, what looks like a call in a text of it is none', async () => {
  const text = `{"a": "${'<tool_call>{\\"name\\": \\"get_weather\\", \\"arguments\\": {}}</tool_call>'}"}`;
  under.backends[0]!.says = () => text.match(/.{1,3}/gsu) ?? [];
  const { choices } = await completion({ response_format: { type: 'json_object' } });
  expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: text } });
  expect(choices[0].message).not.toHaveProperty('tool_calls');
});

test('with a seed, the choice of tools makes another answer: none is given again for another choice', async () => {
  const digests = new Set<string>();
  for (const tool_choice of [
    'auto',
    'required',
    named('get_weather'),
    named('get_time'),
    allowed('auto', 'get_time'),
  ]) {
    const { plimsoll } = await completion({ seed: 3, tool_choice });
    digests.add((await verifyReceipt(plimsoll.receipt!, under.receiptKey.jwks)).prompt_digest);
  }
  expect(digests.size).toBe(5);
});
