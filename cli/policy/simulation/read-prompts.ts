/** The prompts of a simulation: JSON Lines, each a prompt or the messages of a chat. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { whyNot } from '../../options/why-not.ts';

export const Messages = z
  .array(z.object({ role: z.enum(['system', 'developer', 'user', 'assistant']), content: z.string() }))
  .min(1);
export type Messages = z.infer<typeof Messages>;

const WANTED = '{"prompt": TEXT} or {"messages": [{"role": "user", "content": TEXT}]}';
/** Other fields may be there, as data sets have them. */
const Line = z.union([
  z.object({ messages: Messages }).transform(({ messages }) => messages),
  z.object({ prompt: z.string() }).transform(({ prompt }): Messages => [{ role: 'user', content: prompt }]),
]);

/** Throws if a line is no prompt, and names it. */
export async function readPrompts(file: string): Promise<Messages[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
  const prompts = text
    .split('\n')
    .flatMap((line, i) => (line.trim() === '' ? [] : [promptIn(line, `${file}:${i + 1}`)]));
  if (prompts.length === 0) throw new Error(`${file}: found no prompts, wanted a line for each: ${WANTED}`);
  return prompts;
}

function promptIn(line: string, where: string): Messages {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new Error(`${where}: found text that is not JSON, wanted ${WANTED}`, { cause });
  }
  const read = Line.safeParse(json);
  if (read.success) return read.data;
  throw new Error(`${where}: found ${line.slice(0, 60)}, wanted ${WANTED}`);
}
