import { describe, expect, test } from 'vitest';
import { RequestMessage } from '#shared/api/chat-messages.ts';
import { readPastedPrompts, readPrompts } from './read-prompts.ts';

const user = (content: string) => [{ role: 'user', content }];

describe('prompts that people paste', () => {
  test('are one a line, whatever the script, without empty lines', () => {
    expect(readPastedPrompts(' How are you? \n\nكيف حالك؟\r\n', 'line')).toEqual([
      user('How are you?'),
      user('كيف حالك؟'),
    ]);
    expect(readPastedPrompts('\n \n', 'line')).toEqual([]);
  });

  test('are JSON Lines if they look so, and a line that is none is named', () => {
    const chat = [...user('Hi'), { role: 'assistant', content: 'Hello.' }, ...user('And you?')];
    const text = `{"prompt": "one\\ntwo", "label": 3}\n${JSON.stringify({ messages: chat })}\n`;
    expect(readPastedPrompts(text, 'line')).toEqual([user('one\ntwo'), chat]);
    expect(() => readPastedPrompts('{"prompt": "Hi"}\nand this', 'line')).toThrow(
      /^line:2: found text that is not JSON/,
    );
    expect(() => readPastedPrompts('{"text": "Hi"}', 'line')).toThrow(/^line:1: found \{"text": "Hi"\}, wanted/);
  });
});

test('a file of prompts has at least one', () => {
  expect(() => readPrompts('\n', 'empty.jsonl')).toThrow(/^empty.jsonl: found no prompts/);
});

test('a conversation keeps its calls of tools and their results', () => {
  const called = (id: string) => ({ id, type: 'function', function: { name: 'write', arguments: '{"x":1}' } });
  const chat = [
    ...user('Hi'),
    { role: 'assistant', content: '', tool_calls: [called('a')] },
    { role: 'tool', content: 'done', tool_call_id: 'a' },
    ...user('Go on'),
  ];
  const line = (messages: object[]) => JSON.stringify({ messages });
  expect(readPrompts(line(chat), 'kept.jsonl')).toEqual([chat]);
  // OpenAI writes null where an assistant said nothing beside its calls.
  const sparse = chat.map((message) => (message.content === '' ? { ...message, content: null } : message));
  expect(readPrompts(line(sparse), 'kept.jsonl')).toEqual([chat]);
  const unread: object[] = [
    { role: 'assistant', content: null },
    { role: 'user', content: 'Hi', refusal: 'No.' },
    { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }] },
    { role: 'user', content: [] },
    { role: 'assistant', content: '', tool_calls: [{ id: 'a', name: 'write', arguments: '{}' }] },
    { role: 'assistant', content: '', function_call: { name: 'write', arguments: '{}' } },
  ];
  for (const message of unread) {
    expect(() => readPrompts(line([message]), 'kept.jsonl'), JSON.stringify(message)).toThrow(/^kept.jsonl:1: found/);
  }
});

test('a conversation keeps what an assistant refused, and parts of a text are joined, as in a chat request', () => {
  const text = (said: string) => ({ type: 'text', text: said });
  const says = [
    { content: [text('Hi'), text('there')] },
    { content: null, refusal: 'No.' },
    { content: 'Well.', refusal: 'No.' },
    { content: [text('Well.'), { type: 'refusal', refusal: 'No.' }], refusal: null },
    { content: '', refusal: '' },
  ];
  const messages = says.map((said) => ({ role: 'assistant', ...said }));
  const asAsked = messages.map((message) => RequestMessage.parse(message).content);
  const [read] = readPrompts(JSON.stringify({ messages }), 'kept.jsonl');
  expect(read!.map(({ content }) => content)).toEqual(asAsked);
  expect(asAsked).toEqual(['Hi\nthere', 'No.', 'Well.\nNo.', 'Well.\nNo.', '']);
  expect(read!.every((turn) => !('refusal' in turn))).toBe(true);
});
