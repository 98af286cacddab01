/** Linked messages in OpenAI's form again: as clients send a conversation, and read it. */
import * as z from 'zod';
import type { LinkedMessage } from './chat-messages.ts';
import { ToolCall } from './tool-calls.ts';

export const ClientMessage = z.strictObject({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  tool_calls: z.array(ToolCall).min(1).exactOptional().describe('what an assistant called, beside what it said'),
  tool_call_id: z.string().exactOptional().describe("of which call a tool's message is the result"),
});
type ClientMessage = z.infer<typeof ClientMessage>;

/** What a chat request may say, so that it is linked to the same message again. */
export function clientMessage({ role, content, tool_calls, tool_call_id }: LinkedMessage): ClientMessage {
  const calls = tool_calls?.map(({ id, ...called }): ToolCall => ({ id, type: 'function', function: called }));
  return { role, content, ...(calls && { tool_calls: calls }), ...(tool_call_id !== undefined && { tool_call_id }) };
}
