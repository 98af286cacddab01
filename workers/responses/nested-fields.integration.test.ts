/** What is inside of the fields of `POST /v1/responses`, and of a moderation. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { readResponse } from '../testing/read-response.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 1000 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.seen.length = 0;
});

const ask = (input: unknown, more: object = {}) => ({ model: 'scripted', input, seed: 7, ...more });

const LONG_SEED = { type: 'object', properties: {}, examples: [{ seed: 'SEED' }] };
test.each([
  ['a schema', { text: { format: { type: 'json_schema', name: 'a', schema: LONG_SEED } } }],
  ['the parameters of a tool', { tools: [{ type: 'function', name: 'f', parameters: LONG_SEED }] }],
])('a long number that %s calls "seed" is a number as any other', async (_, more) => {
  const body = JSON.stringify(ask('Long', more)).replace('"SEED"', '1234567890123456789');
  await readResponse(await post(under.edge, '/v1/responses', body));
  expect(backend.seen.at(-1)!.request.seed).toBe(7);
});

const FORMAT = { type: 'json_schema', name: 'a', schema: { type: 'object' } };
const TOOL = { type: 'function', name: 'f', parameters: { type: 'object' } };
const asked = (input: unknown) => ({ input });
test.each<[string, object]>([
  ['text.formt', { text: { formt: FORMAT } }],
  ['text.format.schema', { text: { format: { type: 'json_object', schema: {} } } }],
  ['text.format.scheme', { text: { format: { ...FORMAT, scheme: {} } } }],
  ['tools[0].paramaters', { tools: [{ ...TOOL, paramaters: {} }] }],
  ['tools[0].function', { tools: [{ ...TOOL, function: { name: 'f' } }] }],
  ['tool_choice.function', { tools: [TOOL], tool_choice: { type: 'function', name: 'f', function: {} } }],
  [
    'tool_choice.tools[0].foo',
    { tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'f', foo: 1 }] } },
  ],
  ['reasoning.efort', { reasoning: { efort: 'high' } }],
  ['input[0].a-b', asked([{ role: 'user', content: 'x', 'a-b': 1 }])],
])('%s is unknown', async (param, more) => {
  const answer = await post(under.edge, '/v1/responses', { ...ask('Hi'), ...more });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { code: 'unknown_parameter', param } });
  expect(backend.seen).toEqual([]);
});

test('what an answer had is sent back without a word, and what others add is named', async () => {
  const sent = [
    { role: 'user', content: [{ type: 'input_text', text: 'One' }] },
    {
      ...{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed' },
      content: [{ type: 'output_text', text: 'Two.', annotations: [], logprobs: [] }],
    },
    { ...{ type: 'function_call', id: 'fc_1', status: 'completed' }, call_id: 'c', name: 'f', arguments: '{}' },
    { type: 'function_call_output', id: 'fo_1', status: 'completed', call_id: 'c', output: 'x' },
  ];
  const quiet = await post(under.edge, '/v1/responses', ask(sent));
  await readResponse(quiet.clone());
  expect(quiet.headers.get('x-plimsoll-ignored')).toBeNull();
  const part = { type: 'input_text', text: 'One', foo: 1 };
  const loud = await post(under.edge, '/v1/responses', ask([{ role: 'user', bar: 1, content: [part, part] }]));
  await readResponse(loud.clone());
  expect(loud.headers.get('x-plimsoll-ignored')).toBe('input[].bar, input[].content[].foo');
});

const CALL = { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' };
const OUTPUT = { type: 'function_call_output', call_id: 'c', output: 'x' };
const TEXT = { type: 'input_text', text: 'x' };
test.each<[string, object[]]>([
  ['input[].output', [{ role: 'user', content: 'x', output: 'y' }]],
  [
    'input[].arguments, input[].call_id, input[].name',
    [{ type: 'message', role: 'user', content: 'x', arguments: '{}', call_id: 'c', name: 'f' }],
  ],
  ['input[].role, input[].content', [{ ...CALL, role: 'assistant', content: 'y' }, OUTPUT]],
  ['input[].name', [CALL, { ...OUTPUT, name: 'f' }]],
  ['input[].content[].refusal', [{ role: 'user', content: [{ ...TEXT, refusal: 'y' }] }]],
  ['input[].content[].text', [{ role: 'assistant', content: [{ type: 'refusal', refusal: 'x', text: 'y' }] }]],
  ['input[].output[].refusal', [CALL, { ...OUTPUT, output: [{ ...TEXT, refusal: 'y' }] }]],
])('what another kind of item or part has is named: %s', async (names, input) => {
  const answer = await post(under.edge, '/v1/responses', ask(input));
  await readResponse(answer.clone());
  expect(answer.headers.get('x-plimsoll-ignored')).toBe(names);
});

test.each<[string, object]>([
  ['modle', { input: 'x', modle: 'omni-moderation-latest' }],
  ['input[0].txt', { input: [{ type: 'text', text: 'x', txt: 'y' }] }],
])('%s is unknown in a moderation', async (param, body) => {
  const answer = await post(under.edge, '/v1/moderations', body);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { code: 'unknown_parameter', param } });
});
