/**
 * Calls that are held, and answers that are held to a schema, through `/v1/responses` in workerd.
 */
import { zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { callGrammar } from '#shared/tools/call-grammar.ts';
import { type EdgeUnderTest, openaiClient, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { lastResponse, only, readEvents, readResponse } from '../testing/read-response.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 4000 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
const say = (text: string) => {
  backend.says = () => text.match(/.{1,3}/gsu) ?? [];
};
const OSLO = '{"city": "Oslo"}';
const callOf = (written: string) => `<tool_call>\n{"name": "get_weather", "arguments": ${written}}\n</tool_call>`;
beforeEach(() => {
  backend.behaviour = 'answer';
  backend.seen.length = 0;
  say(callOf(OSLO));
});

const City = z.object({ city: z.string() });
const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const WEATHER = { type: 'function', name: 'get_weather', parameters: CITY };
const ask = (more: object) => ({ model: 'scripted', input: 'Oslo?', tools: [WEATHER], seed: 7, ...more });
const respond = (more: object) => post(under.edge, '/v1/responses', ask(more));
const heldTo = () => backend.seen.at(-1)!.request.grammar;
const functions = [
  { name: 'get_weather', arguments: { type: 'json_schema', schema: JSON.stringify(CITY) } satisfies Grammar },
];

describe('a call', () => {
  test.each<[string, object, Omit<Parameters<typeof callGrammar>[1], 'functions'>]>([
    ['that is required', { tool_choice: 'required' }, { forced: true, single: false }],
    [
      'that is required, one of them',
      { tool_choice: 'required', parallel_tool_calls: false },
      { forced: true, single: true },
    ],
    ['of a named function', { tool_choice: { type: 'function', name: 'get_weather' } }, { forced: true, single: true }],
    [
      'of some functions',
      { tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'get_weather' }] } },
      { forced: true, single: false },
    ],
    ['of a strict function', { tools: [{ ...WEATHER, strict: true }] }, { forced: false, single: false }],
  ])('%s is an item, whole and streamed', async (_, more, how) => {
    const whole = await readResponse(await respond(more));
    expect(heldTo()).toEqual(callGrammar('hermes', { functions, ...how }));
    expect(whole).toMatchObject({
      status: 'completed',
      output: [{ type: 'function_call', status: 'completed', name: 'get_weather', arguments: OSLO }],
    });
    const events = await readEvents(await respond({ ...more, stream: true }));
    const types = events.map(({ type }) => type);
    expect(types.filter((type, index) => type !== types[index - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
      'response.completed',
    ]);
    const deltas = only(events, 'response.function_call_arguments.delta').map(({ delta }) => delta);
    expect(deltas.length).toBeGreaterThan(1);
    expect(deltas.join('')).toBe(OSLO);
    expect(only(events, 'response.function_call_arguments.done')).toMatchObject([
      { name: 'get_weather', arguments: OSLO },
    ]);
    expect(lastResponse(events).output).toEqual(
      // Each response has ids of its own.
      whole.output.map((item) => ({ ...item, id: expect.any(String), call_id: expect.any(String) })),
    );
  });

  test('that is cut off is incomplete, with its arguments so far', async () => {
    const text = callOf(OSLO);
    const upTo = Math.ceil((text.indexOf('Oslo') + 2) / 3);
    const cut = await readResponse(await respond({ tool_choice: 'required', max_output_tokens: upTo }));
    expect(cut).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ type: 'function_call', status: 'incomplete', name: 'get_weather' }],
    });
    const [item] = cut.output;
    expect(item).toMatchObject({ arguments: text.slice(text.indexOf(OSLO), upTo * 3) });
  });
});

test("OpenAI's client parses strict calls and formats", async () => {
  const { responses } = openaiClient(under.edge);
  const tools = [zodResponsesFunction({ name: 'get_weather', parameters: City })];
  const called = await responses.parse({ model: 'scripted', input: 'Oslo?', tools, tool_choice: 'required' });
  expect(called.output).toMatchObject([{ type: 'function_call', parsed_arguments: { city: 'Oslo' } }]);
  expect(backend.seen.at(-1)!.request.tools![0]!.parameters).toContain('additionalProperties');

  say(OSLO);
  const format = zodTextFormat(City, 'city');
  const said = await responses.parse({ model: 'scripted', input: 'Oslo?', text: { format } });
  expect(said.output_parsed).toEqual({ city: 'Oslo' });
  expect(heldTo()).toEqual({ type: 'json_schema', schema: JSON.stringify(format.schema) });
});

describe('text.format', () => {
  test.each<[object, Grammar | undefined]>([
    [
      { type: 'json_schema', name: 'a', schema: CITY },
      { type: 'json_schema', schema: JSON.stringify(CITY) },
    ],
    [
      { type: 'json_schema', name: 'a', strict: true, schema: CITY },
      { type: 'json_schema', schema: JSON.stringify(CITY) },
    ],
    [{ type: 'json_object' }, { type: 'json_object' }],
    [{ type: 'text' }, undefined],
  ])('%j', async (format, grammar) => {
    say(OSLO);
    const response = await readResponse(await respond({ tools: [], text: { format } }));
    expect(heldTo()).toEqual(grammar);
    expect(response.output).toMatchObject([{ type: 'message', content: [{ type: 'output_text', text: OSLO }] }]);
    expect(response.text.format).toMatchObject(format);
  });
});

describe('a 400 names the field as it is called here', () => {
  const unsupported = { properties: { a: { patternProperties: {} } } };
  test.each<[object, string, string, RegExp]>([
    [
      { tools: [WEATHER, { type: 'function', name: 'f', parameters: unsupported, strict: true }] },
      'tools[1].parameters',
      'unsupported_value',
      /'tools\[1\]\.parameters': it, at "#\/properties\/a\/patternProperties", is not supported/,
    ],
    [
      { tool_choice: { type: 'function', name: 'f' } },
      'tool_choice.name',
      'invalid_value',
      /'tool_choice\.name': expected the name of one of the 'tools', found "f"/,
    ],
    [{ tools: [], tool_choice: 'required' }, 'tool_choice', 'invalid_value', /only allowed when 'tools'/],
    [
      { tools: [], text: { format: { type: 'json_schema', name: 'a', schema: unsupported } } },
      'text.format',
      'unsupported_value',
      /'text\.format': it, at "#\/properties\/a\/patternProperties"/,
    ],
  ])('%j', async (more, param, code, message) => {
    const answer = await respond(more);
    // The cast: the test reads what the table of errors promises.
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.param, error.code]).toEqual([400, param, code]);
    expect(error.message).toMatch(message);
    expect(backend.seen).toEqual([]);
  });
});

test('a call that a text in stop cuts is an item that is not complete', async () => {
  const whole = await readResponse(await respond({ tool_choice: 'required', stop: ['slo'] }));
  const cut = { type: 'function_call', status: 'incomplete', arguments: '{"city": "O' };
  expect(whole).toMatchObject({ status: 'completed', output: [cut] });
  const streamed = lastResponse(
    await readEvents(await respond({ tool_choice: 'required', stop: ['slo'], stream: true })),
  );
  expect(streamed).toMatchObject({ status: 'completed', output: [cut] });
});
