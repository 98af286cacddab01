/**
 * Reads the items of a conversation. Each is read by itself, so that an error names the item, and
 * says which kinds there are.
 */

import type * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { describeFound, parseRequest } from '#shared/api/invalid-request.ts';
import {
  CONTENT,
  type ContentPart,
  type ContentType,
  FunctionCallItem,
  FunctionOutputItem,
  ItemReference,
  itemType,
  MessageItem,
} from '#shared/api/responses-items.ts';
import type { ResponsesRequest } from '#shared/api/responses-request.ts';

/** A turn of the conversation, or a part of one. */
export type Item =
  | { type: 'message'; role: z.infer<typeof MessageItem>['role']; content: ContentPart[] }
  | { type: 'function_call'; call_id: string; name: string; arguments: string }
  | { type: 'function_call_output'; call_id: string; output: string };
export type Reference = { type: 'item_reference'; id: string };

/** With where it stands in the request, as in `input[3]`. */
export type Placed<T> = { item: T; path: string };

const KINDS = ['message', 'function_call', 'function_call_output', 'item_reference'];

export function readInput(input: ResponsesRequest['input']): Placed<Item | Reference>[] {
  if (typeof input === 'string') {
    return [{ item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }, path: 'input' }];
  }
  return input.map((value, index) => ({ item: readItem(value, `input[${index}]`), path: `input[${index}]` }));
}

/** Throws an error that names `path`. */
export function readItem(value: Readonly<Record<string, unknown>>, path: string): Item | Reference {
  const type = itemType(value);
  if (type === 'message') {
    const { role, content } = readAt(MessageItem, value, path);
    return { type, role, content: readContent(content, { role, path: `${path}.content` }) };
  }
  if (type === 'function_call') return readAt(FunctionCallItem, value, path);
  if (type === 'function_call_output') {
    const { call_id, output } = readAt(FunctionOutputItem, value, path);
    const parts = readContent(output, { role: 'user', path: `${path}.output` });
    return { type, call_id, output: parts.map(textOf).join('\n') };
  }
  if (type === 'item_reference') return { type, id: readAt(ItemReference, value, path).id };
  throw unsupportedType(type, { path, kinds: KINDS });
}

export const textOf = (part: ContentPart): string => (part.type === 'refusal' ? part.refusal : part.text);

function readContent(
  content: string | readonly { type: string }[],
  { role, path }: { role: string; path: string },
): ContentPart[] {
  if (typeof content === 'string')
    return [{ type: role === 'assistant' ? 'output_text' : 'input_text', text: content }];
  return content.map((part, index) => {
    const at = `${path}[${index}]`;
    if (!Object.hasOwn(CONTENT, part.type)) throw unsupportedType(part.type, { path: at, kinds: Object.keys(CONTENT) });
    // The cast: the table has it.
    return readAt(CONTENT[part.type as ContentType], part, at);
  });
}

function readAt<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string): z.output<Schema> {
  return parseRequest(schema, value, { at: path });
}

function unsupportedType(type: unknown, { path, kinds }: { path: string; kinds: readonly string[] }): PlimsollError {
  const expected = kinds.map((kind) => `"${kind}"`).join(' or ');
  const param = `${path}.type`;
  return new PlimsollError(
    'unsupported_value',
    `'${param}' is not supported by this server: expected ${expected}, found ${describeFound(type)}.`,
    { param },
  );
}
