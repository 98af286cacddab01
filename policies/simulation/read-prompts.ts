/** The prompts of a simulation: JSON Lines, each a prompt or the messages of a chat. */
import * as z from 'zod';
import { TextContent, textSaid } from '#shared/api/chat-messages.ts';
import { ToolCall } from '#shared/api/tool-calls.ts';
import { textOfMessage } from '#shared/protocol/prompt-texts.ts';

/** Other fields may be there, as data sets have them. */
const Call = z.object({ ...ToolCall.shape, function: z.object(ToolCall.shape.function.shape) });

/**
 * As clients send it: texts only. What would make it another conversation is kept or refused; a
 * refusal is kept as the text that it is.
 */
const Turn = z
  .object({
    role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
    content: TextContent.nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(Call).nullish(),
    tool_call_id: z.string().nullish(),
    function_call: z.null().optional(),
  })
  .transform(({ role, content, refusal, tool_calls, tool_call_id }, { issues }) => {
    const calls = tool_calls ?? [];
    if (refusal && role !== 'assistant') {
      issues.push({ code: 'custom', message: 'only assistants refuse', input: refusal, path: ['refusal'] });
      return z.NEVER;
    }
    const said = textSaid({ content, refusal, calls });
    if (said === null) {
      issues.push({ code: 'invalid_type', expected: 'string', input: content, path: ['content'] });
      return z.NEVER;
    }
    return {
      ...{ role, content: said },
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(tool_call_id != null && { tool_call_id }),
    };
  });

export const Messages = z.array(Turn).min(1);
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

/** All that a message says, its calls of tools too, as the edge's classifier reads it. */
export function textOfTurn({ content, tool_calls = [] }: Pick<Messages[number], 'content' | 'tool_calls'>): string {
  return textOfMessage({ content, tool_calls: tool_calls.map(({ id, function: called }) => ({ id, ...called })) });
}

export const textOfTurns = (messages: Messages): string => messages.map(textOfTurn).join('\n');

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
