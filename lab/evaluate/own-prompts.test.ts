import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readPrompts } from './own-prompts.ts';

async function write(name: string, text: string): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-prompts-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const file = path.join(dir, name);
  await writeFile(file, text);
  return file;
}
const user = (content: string) => ({ role: 'user', content });

test('prompts are lines of text, or rows with a prompt or messages, whose answer is left out', async () => {
  expect(await readPrompts(await write('a.txt', 'How?\n\n Why? \n'))).toEqual([[user('How?')], [user('Why?')]]);
  const rows = [
    { prompt: 'How?', unsafe: true },
    { prompt: [user('Why?')] },
    { messages: [user('When?'), { role: 'assistant', content: 'Now.' }] },
  ];
  const file = await write('b.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  expect(await readPrompts(file)).toEqual([[user('How?')], [user('Why?')], [user('When?')]]);
});

test('a file without a prompt is an error', async () => {
  await expect(readPrompts(await write('a.txt', '\n'))).rejects.toThrow('found no prompt in it');
  await expect(readPrompts(await write('b.jsonl', '{"question": "How?"}\n'))).rejects.toThrow('b.jsonl:1: ');
  await expect(readPrompts('nowhere.txt')).rejects.toThrow('--prompts nowhere.txt: the file cannot be read');
});
