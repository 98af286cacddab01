/**
 * Reads the calls in an answer's text. It stands behind everything that knows an answer as text:
 * receipts, resuming, kept answers. So an answer that is given again is read again.
 */
import type { ChatFinishReason } from '#shared/api/chat-answer.ts';
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { offeredTools } from '#shared/api/chat-tools.ts';
import type { ToolCall, ToolCallDelta } from '#shared/api/tool-calls.ts';
import { ToolCallParser, type ToolEvent } from '#shared/tools/parse-tool-calls.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { BegunAnswer } from './answer-extension.ts';
import type { AnswerEvents, ChoiceEnd, TextDelta } from './read-answer.ts';

export type ReadsTools = {
  syntax: ToolSyntax;
  /** Of the functions that there are. */
  names: readonly string[];
  /** Whether only the first call counts. */
  single: boolean;
  /** Whether an answer that does not begin with a mark has no calls at all. */
  alone: boolean;
  /** What the ids of the calls begin with. No two answers have the same. */
  idPrefix: string;
};

/** How a request's answer is read; null if it offers no tools. */
export function readsTools(
  chat: Pick<ChatRequest, 'tools' | 'tool_choice' | 'parallel_tool_calls'>,
  { syntax, requestId, alone }: { syntax: ToolSyntax; requestId: string; alone: boolean },
): ReadsTools | null {
  const names = offeredTools(chat).map(({ name }) => name);
  if (names.length === 0) return null;
  const idPrefix = requestId.replace(/^req_/, 'call_');
  return { syntax, names, single: chat.parallel_tool_calls === false, alone, idPrefix };
}

/** The same answer, its calls apart from what it says. */
export function withToolCalls(answer: BegunAnswer, reads: ReadsTools): BegunAnswer {
  return { ...answer, events: readCalls(answer.events, reads) };
}

/** One of a request's answers. */
type Reading = { parser: ToolCallParser; text: string };

async function* readCalls(events: AnswerEvents, { syntax, names, single, alone, idPrefix }: ReadsTools): AnswerEvents {
  const readings: Reading[] = [];
  const readingOf = (choice: number) => {
    readings[choice] ??= { parser: new ToolCallParser(syntax, { names, alone }), text: '' };
    return readings[choice];
  };
  const deltasOf = (found: readonly ToolEvent[], { text: _, ...about }: TextDelta): TextDelta[] => {
    const { choice = 0 } = about;
    const whose = choice === 0 ? {} : { choice };
    const deltas = found.flatMap((event): TextDelta[] => {
      if (event.type === 'content') return [{ text: event.text, tokens: [], ...whose }];
      if (single && event.index > 0) return [];
      return [{ text: '', tokens: [], calls: [callDelta(event, `${idPrefix}_${choice}_`)], ...whose }];
    });
    // What is told of the tokens is told once, with the first.
    const [first = { text: '', tokens: [] }, ...rest] = deltas;
    const isWorthIt = deltas.length > 0 || about.tokens.length > 0 || about.echo !== undefined;
    return isWorthIt ? [{ ...first, ...about }, ...rest] : [];
  };
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    const reading = readingOf(next.value.choice ?? 0);
    reading.text += next.value.text;
    yield* deltasOf(reading.parser.push(next.value.text), next.value);
  }
  for (const choice of readings.keys())
    yield* deltasOf(readingOf(choice).parser.end(), { text: '', tokens: [], choice });
  const called = (end: ChoiceEnd, choice: number): ChoiceEnd => {
    const { parser, text } = readingOf(choice);
    // A call that is left out ends nothing.
    const isCut = parser.isCut && !(single && parser.calls > 1);
    return { ...end, called: { calls: parser.calls, isCut, text } };
  };
  const { more, ...first } = next.value;
  return { ...called(first, 0), ...(more && { more: more.map((end, i) => called(end, 1 + i)) }) };
}

function callDelta(event: Exclude<ToolEvent, { type: 'content' }>, idPrefix: string): ToolCallDelta {
  const { index } = event;
  return event.type === 'arguments'
    ? { index, function: { arguments: event.text } }
    : { index, id: `${idPrefix}${index}`, type: 'function', function: { name: event.name, arguments: '' } };
}

/**
 * An answer that was cut off says so, whatever it has called by then: by its limit, or by a text in
 * `stop`.
 */
export function chatFinishReason({ receipt: { finish_reason }, called }: ChoiceEnd): ChatFinishReason {
  const hasWholeCalls = called !== undefined && called.calls > 0 && !called.isCut;
  return finish_reason === 'stop' && hasWholeCalls ? 'tool_calls' : finish_reason;
}

/** The calls that these pieces make. */
export function wholeCalls(pieces: readonly ToolCallDelta[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (const { id, function: called } of pieces) {
    const { name, arguments: text } = called;
    const last = calls.at(-1);
    if (id !== undefined && name !== undefined)
      calls.push({ id, type: 'function', function: { name, arguments: text } });
    else if (last !== undefined) last.function.arguments += text;
  }
  return calls;
}
