/** Items as the messages of a chat request. */
import { type Item, type Placed, textOf } from './read-items.ts';

type ToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } };
export type ChatMessage =
  | { role: 'system' | 'developer' | 'user' | 'assistant'; content: string | { type: 'text'; text: string }[] }
  | { role: 'assistant'; content: string | { type: 'text'; text: string }[] | null; tool_calls: ToolCall[] }
  | { role: 'tool'; tool_call_id: string; content: string };

/**
 * @returns the messages and, for each, where it comes from in the request
 */
export function toMessages(
  items: readonly Placed<Item>[],
  { instructions }: { instructions: string | null },
): { messages: ChatMessage[]; paths: string[] } {
  const messages: ChatMessage[] = [];
  const paths: string[] = [];
  const add = (message: ChatMessage, path: string) => {
    messages.push(message);
    paths.push(path);
  };
  if (instructions !== null) add({ role: 'system', content: instructions }, 'instructions');
  for (const { item, path } of items) {
    if (item.type === 'message') {
      const { role, content } = item;
      const [first, ...more] = content;
      const texts = content.map((part) => ({ type: 'text' as const, text: textOf(part) }));
      add({ role, content: first !== undefined && more.length === 0 ? textOf(first) : texts }, path);
    } else if (item.type === 'function_call_output') {
      add({ role: 'tool', tool_call_id: item.call_id, content: item.output }, path);
    } else {
      const { call_id: id, name } = item;
      const call: ToolCall = { id, type: 'function', function: { name, arguments: item.arguments } };
      const last = messages.at(-1);
      // A chat message has its text and its calls together. They are items of their own here.
      if (last?.role === 'assistant') {
        if ('tool_calls' in last) last.tool_calls.push(call);
        else messages[messages.length - 1] = { ...last, tool_calls: [call] };
      } else add({ role: 'assistant', content: null, tool_calls: [call] }, path);
    }
  }
  return { messages, paths };
}
