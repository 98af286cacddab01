/**
 * All text of a prompt that its client wrote, as a reader sees it: what is said in the messages,
 * what was called and with what arguments, and what the tools are and take. The classifier reads
 * it, whoever counts its length counts it, and the second look finds it again.
 */
import { utf8Bytes } from '#shared/api/context-length.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Message } from './generate.ts';

export type Prompt = { messages: readonly Message[]; tools?: readonly Tool[] | undefined };

/**
 * One text for each message, then one for each tool. JSON comes without its quotes and escapes: it
 * is read as the words that it holds.
 */
export function promptTexts({ messages, tools = [] }: Prompt): string[] {
  return [...messages.map(textOfMessage), ...tools.map(textOfTool)];
}

export function textOfMessage({ content, tool_calls = [] }: Pick<Message, 'content' | 'tool_calls'>): string {
  if (tool_calls.length === 0) return content;
  return [content, ...tool_calls.flatMap(({ name, arguments: json }) => [name, wordsOf(json)])].join('\n');
}

function textOfTool({ name, description = '', parameters = '' }: Tool): string {
  return [name, description, parameters === '' ? '' : wordsOf(parameters)].filter((text) => text !== '').join('\n');
}

/** UTF-8 bytes that the model has to read at the least, whatever its template makes of them. */
export function promptBytes(prompt: Prompt): number {
  return utf8Bytes(sentTexts(prompt));
}

/** The characters that a template is given, in UTF-16 units. */
export function promptCharacters(prompt: Prompt): number {
  return sentTexts(prompt).reduce((sum, { length }) => sum + length, 0);
}

/** As the client sent them, JSON with its quotes. */
function sentTexts({ messages, tools = [] }: Prompt): string[] {
  const said = messages.flatMap(({ content, tool_calls = [] }) => [
    content,
    ...tool_calls.flatMap((call) => [call.name, call.arguments]),
  ]);
  const told = tools.flatMap(({ name, description = '', parameters = '' }) => [name, description, parameters]);
  return [...said, ...told];
}

/** What every schema says, which says nothing about what it is for. */
const SCHEMA_WORDS: ReadonlySet<string> = new Set([
  ...['type', 'properties', 'required', 'description', 'items', 'enum', 'title', 'default', 'format', '$schema'],
  ...['object', 'string', 'number', 'integer', 'boolean', 'array', 'null', 'additionalProperties', 'anyOf', '$ref'],
]);

/** The keys and texts in a JSON text, a line each; what is no JSON is taken as it is. */
function wordsOf(json: string): string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return json;
  }
  const words: string[] = [];
  // A stack of our own: JSON may be nested deeper than calls can be.
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (Array.isArray(next)) left.push(...next.toReversed());
    else if (typeof next === 'object' && next !== null) {
      left.push(...Object.entries(next).flat().reverse());
    } else if (next !== null && !SCHEMA_WORDS.has(String(next))) words.push(String(next));
  }
  return words.join('\n');
}
