/** The events of answers that call functions, held to OpenAI's document. */
import { expect, test } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { ResponseEvent } from '#shared/api/responses-events.ts';
import { ResponsesRequest } from '#shared/api/responses-request.ts';
import { holdToOpenAIEvent } from '../testing/hold-to-openai.ts';
import { asChunk, type ChatChunk, type ChatDelta } from './chat-chunk.ts';
import { toMessages } from './chat-messages.ts';
import { newResponseId, placeOfItem } from './ids.ts';
import { readInput } from './read-items.ts';
import { renamed } from './rename-error.ts';
import { responseBase } from './response-base.ts';
import { toChat, writeChat } from './to-chat.ts';
import { createEventWriter } from './write-events.ts';

const id = newResponseId();
const base = responseBase({ model: 'm', input: 'x' }, { id, store: false });
const head = { created: 1, model: 'm' };
const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
const chunk = (delta: ChatDelta, finish_reason: string | null = null): ChatChunk => ({
  ...head,
  choices: [{ delta, logprobs: null, finish_reason }],
});

function eventsOf(chunks: ChatChunk[]): ResponseEvent[] {
  const writer = createEventWriter(base);
  for (const each of chunks) writer.push(each);
  writer.end(writer.finish());
  const blocks = writer.take().split('\n\n').slice(0, -1);
  return blocks.map((block) => {
    const event = ResponseEvent.parse(JSON.parse(block.split('\ndata: ')[1]!));
    holdToOpenAIEvent(event);
    return event;
  });
}

const CALLS: ChatChunk[] = [
  chunk({ content: '' }),
  chunk({ content: 'Let me look.' }),
  chunk({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: '' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
  chunk({ tool_calls: [{ index: 0, function: { arguments: '"Kiel"}' } }] }),
  chunk({ tool_calls: [{ index: 1, id: 'call_2', function: { name: 'time', arguments: '{}' } }] }),
  chunk({}, 'tool_calls'),
  { ...head, choices: [], usage },
];

test('text and calls are items of their own, one after the other', () => {
  const events = eventsOf(CALLS);
  const message = [
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
  ];
  const call = (deltas: number) => [
    'output_item.added',
    ...Array.from({ length: deltas }, () => 'function_call_arguments.delta'),
    'function_call_arguments.done',
    'output_item.done',
  ];
  expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
    ...['created', 'in_progress', ...message, 'output_item.done', ...call(2), ...call(1), 'completed'],
  ]);
  const last = events.at(-1)!;
  expect(last).toMatchObject({
    response: {
      status: 'completed',
      usage: { input_tokens: 1, output_tokens: 2 },
      output: [
        { type: 'message', content: [{ text: 'Let me look.' }] },
        {
          type: 'function_call',
          call_id: 'call_1',
          name: 'weather',
          arguments: '{"city":"Kiel"}',
          status: 'completed',
        },
        { type: 'function_call', call_id: 'call_2', name: 'time', arguments: '{}' },
      ],
    },
  });
  const places = events.flatMap((event) => ('item_id' in event ? [[event.output_index, event.item_id]] : []));
  for (const [index, item] of places) {
    expect(placeOfItem(String(item))).toEqual({ response: id, side: 'output', index });
  }
});

test('a whole answer with calls has the same items', () => {
  const calls = [{ id: 'call_1', function: { name: 'weather', arguments: '{"city":"Kiel"}' } }];
  const choices = [{ message: { content: null, tool_calls: calls }, logprobs: null, finish_reason: 'tool_calls' }];
  const writer = createEventWriter(base);
  writer.push(asChunk({ ...head, choices, usage }));
  expect(writer.finish()).toMatchObject({
    status: 'completed',
    output: [{ type: 'function_call', call_id: 'call_1', arguments: '{"city":"Kiel"}' }],
  });
});

test('a call that was cut off is incomplete, and a refusal is a part of its own', () => {
  const cut = eventsOf([...CALLS.slice(0, 4), chunk({}, 'length'), { ...head, choices: [], usage }]);
  expect(cut.at(-1)).toMatchObject({
    type: 'response.incomplete',
    response: { output: [{ status: 'completed' }, { status: 'incomplete', arguments: '{"city":' }] },
  });
  const refused = eventsOf([
    chunk({ refusal: 'No' }),
    chunk({ refusal: '.' }, 'stop'),
    { ...head, choices: [], usage },
  ]);
  expect(refused.at(-1)).toMatchObject({ response: { output: [{ content: [{ type: 'refusal', refusal: 'No.' }] }] } });
});

test('an answer without text is an empty message', () => {
  const events = eventsOf([chunk({ content: '' }), chunk({}, 'stop'), { ...head, choices: [], usage }]);
  expect(events.at(-1)).toMatchObject({ response: { output: [{ type: 'message', content: [{ text: '' }] }] } });
});

test('calls and their outputs become messages of a chat', () => {
  const items = readInput([
    { role: 'user', content: 'Weather and time?' },
    { role: 'assistant', content: 'Let me look.' },
    { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{}', id: 'fc_1', status: 'completed' },
    { type: 'function_call', call_id: 'call_2', name: 'time', arguments: '{}' },
    { type: 'function_call_output', call_id: 'call_1', output: 'Rain' },
    { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'Noon' }] },
  ]);
  // The cast: there is no reference among them.
  const { messages, paths } = toMessages(items as Parameters<typeof toMessages>[0], { instructions: null });
  const call = (id: string, name: string) => ({ id, type: 'function', function: { name, arguments: '{}' } });
  expect(messages).toEqual([
    { role: 'user', content: 'Weather and time?' },
    { role: 'assistant', content: 'Let me look.', tool_calls: [call('call_1', 'weather'), call('call_2', 'time')] },
    { role: 'tool', tool_call_id: 'call_1', content: 'Rain' },
    { role: 'tool', tool_call_id: 'call_2', content: 'Noon' },
  ]);
  const wrong = new PlimsollError('invalid_value', "Invalid value for 'messages[2].content'.", {
    param: 'messages[2].content',
  });
  expect(renamed(wrong, paths)).toMatchObject({
    param: 'input[4].content',
    message: "Invalid value for 'input[4].content'.",
  });
});

test('tools and formats have the form of the chat route', () => {
  const parameters = { type: 'object', properties: {} };
  const asked = {
    model: 'm',
    input: 'x',
    tools: [{ type: 'function', name: 'weather', parameters, strict: true }],
    tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'weather' }] },
    text: { format: { type: 'json_schema', name: 'out', schema: parameters, strict: true } },
    seed: 2n ** 62n,
  };
  const body = toChat(ResponsesRequest.parse(asked), { asked, messages: [] });
  expect(JSON.parse(writeChat(body))).toMatchObject({
    tools: [{ type: 'function', function: { name: 'weather', parameters, strict: true } }],
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: { mode: 'required', tools: [{ type: 'function', function: { name: 'weather' } }] },
    },
    response_format: { type: 'json_schema', json_schema: { name: 'out', schema: parameters, strict: true } },
  });
  expect(writeChat(body)).toContain('"seed":4611686018427387904');
});
