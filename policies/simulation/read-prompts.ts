/** The prompts of a simulation: JSON Lines, each a prompt or the messages of a chat. */
import * as z from 'zod';

export const Messages = z
  .array(z.object({ role: z.enum(['system', 'developer', 'user', 'assistant']), content: z.string() }))
  .min(1);
export type Messages = z.infer<typeof Messages>;

const WANTED = '{"prompt": TEXT} or {"messages": [{"role": "user", "content": TEXT}]}';
/** Other fields may be there, as data sets have them. */
const Line = z.union([
  z.object({ messages: Messages }).transform(({ messages }) => messages),
  z.object({ prompt: z.string() }).transform(({ prompt }): Messages => userSays(prompt)),
]);

/** Throws if a line is no prompt, and names it: `name` is the file's. */
export function readPrompts(text: string, name: string): Messages[] {
  const prompts = text
    .split('\n')
    .flatMap((line, i) => (line.trim() === '' ? [] : [promptIn(line, `${name}:${i + 1}`)]));
  if (prompts.length === 0) throw new Error(`${name}: found no prompts, wanted a line for each: ${WANTED}`);
  return prompts;
}

/**
 * Prompts as people paste them: JSON Lines if the first line looks like an object, else a prompt a
 * line. Throws as `readPrompts` does.
 */
export function readPastedPrompts(text: string, name: string): Messages[] {
  if (text.trimStart().startsWith('{')) return readPrompts(text, name);
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').map(userSays);
}

const userSays = (content: string): Messages => [{ role: 'user', content }];

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
