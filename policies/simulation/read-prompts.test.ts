import { describe, expect, test } from 'vitest';
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
