/**
 * Calls that are held, from OpenAI's client through the edge to the demo's own model and back. The
 * model has never seen a tool, so whatever is right about its calls is the grammar's.
 */
import type OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import { client, type Key, type RunningStack, startStack } from './running-stack.ts';

let stack: RunningStack;
beforeAll(async () => {
  stack = await startStack({ env: { PLIMSOLL_BACKENDS: '2' } });
});
afterAll(async () => {
  await stack?.stop();
});

const City = z.strictObject({ city: z.enum(['Oslo', 'Rome']) });
const Alarm = z.strictObject({ at: z.enum(['6:00', '7:30']) });
const SCHEMAS: Readonly<Record<string, z.ZodType>> = { weather: City, alarm: Alarm };
/** Few words: the demo reads 512 tokens. What zod says about its dialect is left out. */
const schemaOf = (type: z.ZodType) => {
  const { $schema: _, ...schema } = z.toJSONSchema(type);
  return schema;
};
const TOOLS = Object.entries(SCHEMAS).map(([name, type]) => ({
  type: 'function' as const,
  function: { name, parameters: schemaOf(type), strict: true },
}));

const KEYS: readonly Key[] = ['pk-demo-balanced', 'pk-demo-open'];
type More = Pick<Partial<OpenAI.ChatCompletionCreateParams>, 'tool_choice' | 'parallel_tool_calls' | 'seed'>;
const ask = (more: More) => ({
  model: stack.model,
  messages: [{ role: 'user' as const, content: 'Hi' }],
  tools: TOOLS,
  temperature: 1,
  max_tokens: 120,
  ...more,
});

function expectCalls(calls: readonly { function: { name: string; arguments: string } }[] | undefined): void {
  expect(calls?.length).toBeGreaterThan(0);
  for (const { function: called } of calls ?? []) SCHEMAS[called.name]!.parse(JSON.parse(called.arguments));
}

describe.each(KEYS)('with %s', (key) => {
  const chat = () => client(stack.url, key).chat.completions;

  test('a forced answer is calls of the functions, with arguments that fit', async () => {
    for (let seed = 0; seed < 6; seed++) {
      const { choices, plimsoll } = ChatCompletion.parse(
        await chat().create(ask({ tool_choice: 'required', parallel_tool_calls: false, seed })),
      );
      expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
      expectCalls(choices[0].message.tool_calls);
      expect(choices[0].message.tool_calls).toHaveLength(1);
      expect(plimsoll.receipt).toEqual(expect.any(String));
    }
  });

  test('so is one of several, and one that is streamed, piece by piece', async () => {
    const request = ask({ tool_choice: { type: 'function', function: { name: 'alarm' } }, seed: 4 });
    const whole = ChatCompletion.parse(await chat().create({ ...request, n: 2 }));
    for (const { message } of whole.choices) {
      expect(message.tool_calls?.map((call) => call.function.name)).toEqual(['alarm']);
      expectCalls(message.tool_calls);
    }
    const one = ChatCompletion.parse(await chat().create(request));
    let text = '';
    let pieces = 0;
    const stream = chat().stream(request);
    stream.on('tool_calls.function.arguments.delta', ({ arguments_delta }) => {
      text += arguments_delta;
      pieces++;
    });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.finish_reason).toBe('tool_calls');
    expect(text).toBe(one.choices[0].message.tool_calls![0]!.function.arguments);
    expect(pieces).toBeGreaterThan(1);
  });

  test('one that is cut off in a call says so', async () => {
    const request = ask({ tool_choice: 'required', seed: 4 });
    const whole = ChatCompletion.parse(await chat().create(request));
    const cut = ChatCompletion.parse(
      await chat().create({ ...request, max_tokens: whole.usage.completion_tokens - 4 }),
    );
    expect(cut.choices[0].finish_reason).toBe('length');
    const [begun] = cut.choices[0].message.tool_calls ?? [];
    expect(begun?.function.arguments.length).toBeGreaterThan(0);
    expect(whole.choices[0].message.tool_calls![0]!.function.arguments).toContain(begun!.function.arguments);
  });
});

test('a model that is pushed to call finds every call held, and other answers free', async () => {
  // The demo's model writes no calls of its own accord.
  const free = await client(stack.url, 'pk-demo-open').chat.completions.parse(ask({ seed: 1 }));
  expect(free.choices[0]!.message.content!.length).toBeGreaterThan(0);
  expect(free.choices[0]!.message.tool_calls ?? []).toEqual([]);
});

test("OpenAI's own loop runs the functions until they have been called", async () => {
  const called: unknown[] = [];
  const runner = client(stack.url, 'pk-demo-open').chat.completions.runTools({
    ...ask({ tool_choice: { type: 'function', function: { name: 'weather' } }, seed: 2 }),
    tools: [
      zodFunction({
        name: 'weather',
        parameters: City,
        function: (city) => {
          called.push(city);
          return '12 degrees';
        },
      }),
    ],
  });
  await runner.done();
  expect(called).toHaveLength(1);
  City.parse(called[0]);
});

describe('through /v1/responses', () => {
  const tools = Object.entries(SCHEMAS).map(([name, type]) => ({
    type: 'function' as const,
    name,
    parameters: schemaOf(type),
    strict: true,
  }));
  const request = { input: 'Hi', tools, max_output_tokens: 120, temperature: 1 };

  test('calls are forced, parsed and streamed', async () => {
    const { responses } = client(stack.url, 'pk-demo-balanced');
    const asked = { model: stack.model, ...request, tool_choice: 'required' as const, parallel_tool_calls: false };
    const parsed = await responses.parse(asked);
    expect(parsed.status).toBe('completed');
    expect(parsed.output).toHaveLength(1);
    const [item] = parsed.output;
    if (item?.type !== 'function_call') throw new Error(`a ${item?.type}`);
    expect(SCHEMAS[item.name]!.parse(item.parsed_arguments)).toEqual(JSON.parse(item.arguments));

    const stream = responses.stream(asked);
    let text = '';
    stream.on('response.function_call_arguments.delta', ({ delta }) => {
      text += delta;
    });
    const final = await stream.finalResponse();
    const [streamed] = final.output;
    if (streamed?.type !== 'function_call') throw new Error(`a ${streamed?.type}`);
    expect(streamed.arguments).toBe(text);
    SCHEMAS[streamed.name]!.parse(JSON.parse(text));
  });

  test('text.format holds an answer to a schema', async () => {
    const { responses } = client(stack.url, 'pk-demo-balanced');
    const schema = schemaOf(Alarm);
    const answer = await responses.create({
      ...{ model: stack.model, input: 'When?', max_output_tokens: 120 },
      text: { format: { type: 'json_schema', name: 'alarm', strict: true, schema } },
    });
    expect(answer.status).toBe('completed');
    Alarm.parse(JSON.parse(answer.output_text));
  });
});
