/** Reads the prompts that a user wants answered. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { readRows } from '#training/data/read-rows.ts';

const Row = z.union([
  z.object({ prompt: z.union([z.string().min(1), z.array(Message).min(1)]) }),
  z.object({ messages: z.array(Message).min(1) }),
]);

/**
 * A `.txt` file has a question a line. Any other has rows with `prompt` (a text, or messages) or
 * `messages`; an answer at their end is left out. Throws if there is no prompt.
 */
export async function readPrompts(file: string): Promise<Message[][]> {
  const prompts = file.endsWith('.txt') ? await questions(file) : await rows(file);
  if (prompts.length === 0) throw new Error(`--prompts ${file}: found no prompt in it`);
  return prompts;
}

async function questions(file: string): Promise<Message[][]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`--prompts ${file}: the file cannot be read`, { cause });
  });
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter(Boolean).map((content) => [{ role: 'user', content }]);
}

async function rows(file: string): Promise<Message[][]> {
  const prompts: Message[][] = [];
  for await (const row of readRows(file, Row)) {
    const said = 'messages' in row ? row.messages : row.prompt;
    const messages: Message[] = typeof said === 'string' ? [{ role: 'user', content: said }] : said;
    const asked = messages.at(-1)!.role === 'assistant' ? messages.slice(0, -1) : messages;
    if (asked.length > 0) prompts.push(asked);
  }
  return prompts;
}
