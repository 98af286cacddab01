/** A request for a response as a chat request: the body that the chat route parses. */
import {
  ALSO_CHAT,
  type FunctionTool,
  type ResponsesRequest,
  type TextFormat,
  type ToolChoice,
} from '#shared/api/responses-request.ts';
import type { ChatMessage } from './chat-messages.ts';

/** What the chat route is asked, field by field. Fields that are left out ask for nothing. */
export function toChat(
  request: ResponsesRequest,
  { asked, messages }: { asked: Readonly<Record<string, unknown>>; messages: readonly ChatMessage[] },
): Record<string, unknown> {
  const { model, max_output_tokens, temperature, top_p, tools, tool_choice, text, plimsoll } = request;
  const wantsLogprobs = wantsTokens(request);
  const stream = request.stream === true;
  const fields = {
    model,
    messages,
    max_completion_tokens: max_output_tokens,
    temperature,
    top_p,
    stream,
    stream_options: stream ? { include_usage: true } : null,
    tools: tools == null || tools.length === 0 ? null : tools.map(toChatTool),
    tool_choice: tool_choice == null ? null : toChatChoice(tool_choice),
    // Where there are no tools, it has no meaning.
    parallel_tool_calls: tools == null || tools.length === 0 ? null : request.parallel_tool_calls,
    response_format: text?.format == null ? null : toChatFormat(text.format),
    logprobs: wantsLogprobs ? true : null,
    top_logprobs: wantsLogprobs && request.top_logprobs ? request.top_logprobs : null,
    plimsoll,
    ...Object.fromEntries(ALSO_CHAT.map((name) => [name, asked[name]])),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** Whether the answer should have the log-probabilities of its tokens. */
function wantsTokens({ include, top_logprobs }: ResponsesRequest): boolean {
  return include?.includes('message.output_text.logprobs') === true || (top_logprobs ?? 0) > 0;
}

function toChatTool({ type, ...tool }: FunctionTool) {
  return { type, function: withoutNull(tool) };
}

function toChatChoice(choice: ToolChoice) {
  if (typeof choice === 'string') return choice;
  if (choice.type === 'function') return { type: choice.type, function: { name: choice.name } };
  const tools = choice.tools.map(({ type, name }) => ({ type, function: { name } }));
  return { type: choice.type, allowed_tools: { mode: choice.mode, tools } };
}

function toChatFormat(format: TextFormat) {
  if (format.type !== 'json_schema') return format;
  const { type, ...schema } = format;
  return { type, json_schema: withoutNull(schema) };
}

function withoutNull<T extends object>(fields: T): Partial<T> {
  // The cast: some of the fields are left.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null)) as Partial<T>;
}

/** As JSON. A seed of 64 bits keeps its digits. */
export function writeChat(body: Readonly<Record<string, unknown>>): string {
  const { seed, ...rest } = body;
  const text = JSON.stringify(rest);
  return typeof seed === 'bigint' ? `${text.slice(0, -1)},"seed":${seed}}` : JSON.stringify(body);
}
