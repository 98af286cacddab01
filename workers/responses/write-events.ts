/**
 * Makes the events of a response out of the chunks of a chat completion, and with them the response
 * itself. Each item of the answer is opened, filled and closed before the next one.
 */
import type { ErrorBody } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { ResponseObject, ResponseUsage } from '#shared/api/responses-answer.ts';
import type { ResponseEvent } from '#shared/api/responses-events.ts';
import type { OutputItem, OutputPart, TokenLogprob } from '#shared/api/responses-items.ts';
import type { ChatChunk, ChatDelta, ChatLogprob } from './chat-chunk.ts';
import { itemId } from './ids.ts';
import type { ResponseBase } from './response-base.ts';

type Fields<T extends ResponseEvent['type']> = Omit<Extract<ResponseEvent, { type: T }>, 'type' | 'sequence_number'>;
type Message = Extract<OutputItem, { type: 'message' }>;
type Call = Extract<OutputItem, { type: 'function_call' }>;

const EMPTY_PARTS: { [T in OutputPart['type']]: () => Extract<OutputPart, { type: T }> } = {
  output_text: () => ({ type: 'output_text', text: '', annotations: [], logprobs: [] }),
  refusal: () => ({ type: 'refusal', refusal: '' }),
};

export type EventWriter = {
  /** Takes the next chunk. The first one begins the response. */
  push(chunk: ChatChunk): void;
  /** Closes what is open. Returns the response as it has ended. */
  finish(): ResponseObject;
  /** The response, broken off by this error. */
  fail(error: ErrorBody['error']): ResponseObject;
  /** Writes the last event. */
  end(response: ResponseObject): void;
  /** The text of the events since the last call. */
  take(): string;
};

export function createEventWriter(base: ResponseBase): EventWriter {
  const output: OutputItem[] = [];
  let written = '';
  let sequence = 0;
  let response: ResponseObject | null = null;
  let open: { item: Message; part: OutputPart } | { item: Call; call: number } | null = null;
  let reason: string | null = null;
  let last: ChatChunk | null = null;
  /** Of tokens that have given no text yet: they come with the next that has some. */
  let tokens: TokenTrace[] = [];
  let logprobs: TokenLogprob[] = [];

  function event<T extends ResponseEvent['type']>(type: T, fields: Fields<T>): void {
    written += `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...fields })}\n\n`;
  }
  const place = () => ({ item_id: output.at(-1)!.id, output_index: output.length - 1 });
  const traced = () => {
    if (tokens.length === 0) return {};
    const told = { plimsoll: { tokens } };
    tokens = [];
    return told;
  };

  function add<T extends OutputItem>(item: T): T {
    output.push(item);
    event('response.output_item.added', { output_index: output.length - 1, item });
    return item;
  }
  const nextId = (type: OutputItem['type']) =>
    itemId(type, { response: base.id, side: 'output', index: output.length });

  function openPart<T extends OutputPart['type']>(type: T): Extract<OutputPart, { type: T }> {
    // The cast: the types have been compared.
    if (open !== null && 'part' in open && open.part.type === type)
      return open.part as Extract<OutputPart, { type: T }>;
    close('completed');
    const item = add({ type: 'message', id: nextId('message'), status: 'in_progress', role: 'assistant', content: [] });
    const part = EMPTY_PARTS[type]();
    event('response.content_part.added', { ...place(), content_index: 0, part });
    open = { item, part };
    return part;
  }

  function pushText(delta: string): void {
    const part = openPart('output_text');
    part.text += delta;
    part.logprobs.push(...logprobs);
    const shown = logprobs.map(withoutBytes);
    logprobs = [];
    event('response.output_text.delta', { ...place(), content_index: 0, delta, logprobs: shown, ...traced() });
  }

  function pushRefusal(delta: string): void {
    openPart('refusal').refusal += delta;
    event('response.refusal.delta', { ...place(), content_index: 0, delta, ...traced() });
  }

  function pushCall({ index, id, function: called }: NonNullable<ChatDelta['tool_calls']>[number]): void {
    let item = open !== null && 'call' in open && open.call === index ? open.item : null;
    if (item === null) {
      close('completed');
      const fields = { call_id: id ?? '', name: called?.name ?? '', arguments: '' };
      item = add({ type: 'function_call', id: nextId('function_call'), status: 'in_progress', ...fields });
      open = { item, call: index };
    }
    // A call has no place for them.
    logprobs = [];
    const delta = called?.arguments ?? '';
    if (delta === '') return;
    item.arguments += delta;
    event('response.function_call_arguments.delta', { ...place(), delta, ...traced() });
  }

  function close(status: 'completed' | 'incomplete'): void {
    if (open === null) return;
    const { item } = open;
    if ('part' in open) {
      const { part } = open;
      const at = { ...place(), content_index: 0 };
      if (part.type === 'refusal') event('response.refusal.done', { ...at, refusal: part.refusal });
      else event('response.output_text.done', { ...at, text: part.text, logprobs: part.logprobs.map(withoutBytes) });
      event('response.content_part.done', { ...at, part });
      open.item.content.push(part);
    } else {
      const { name, arguments: written } = open.item;
      event('response.function_call_arguments.done', { ...place(), name, arguments: written });
    }
    item.status = status;
    event('response.output_item.done', { output_index: output.length - 1, item });
    open = null;
  }

  return {
    push(chunk) {
      if (response === null) {
        response = { ...base, created_at: chunk.created, model: chunk.model };
        event('response.created', { response });
        event('response.in_progress', { response });
      }
      last = chunk;
      tokens.push(...(chunk.plimsoll?.tokens ?? []));
      const choice = chunk.choices[0];
      if (choice === undefined) return;
      const { content, refusal, tool_calls = [] } = choice.delta;
      logprobs.push(...(choice.logprobs?.content ?? []).map(withBytes));
      if (content != null && content !== '') pushText(content);
      if (refusal != null && refusal !== '') pushRefusal(refusal);
      for (const call of tool_calls) pushCall(call);
      reason ??= choice.finish_reason;
    },
    finish() {
      const cutBy = reason === 'length' ? 'max_output_tokens' : reason === 'content_filter' ? 'content_filter' : null;
      // An answer without any text is an empty message, and no answer without an item.
      if (output.length === 0) openPart('output_text');
      // The token that ends an answer has no text.
      if (open !== null && 'part' in open && open.part.type === 'output_text') open.part.logprobs.push(...logprobs);
      // A text in `stop` may end an answer inside of a call.
      const isCut = reason === 'stop' && open !== null && 'call' in open;
      close(cutBy === null && !isCut ? 'completed' : 'incomplete');
      return {
        ...begun(),
        status: cutBy === null ? 'completed' : 'incomplete',
        incomplete_details: cutBy === null ? null : { reason: cutBy },
        completed_at: cutBy === null ? Math.floor(Date.now() / 1000) : null,
        output,
        ...usageOf(last),
        ...(last?.plimsoll !== undefined && { plimsoll: last.plimsoll }),
      };
    },
    fail({ code, message, param }) {
      event('error', { code, message, param });
      const isLimit = code === 'rate_limit_exceeded' || code === 'insufficient_quota';
      const error = { code: isLimit ? ('rate_limit_exceeded' as const) : ('server_error' as const), message };
      return { ...begun(), status: 'failed', error, output };
    },
    end(ended) {
      event(`response.${ended.status === 'in_progress' ? 'failed' : ended.status}`, { response: ended });
    },
    take() {
      const text = written;
      written = '';
      return text;
    },
  };

  /** Before the first chunk there is no head: then the response begins as it fails. */
  function begun(): ResponseObject {
    return response ?? { ...base, created_at: Math.floor(Date.now() / 1000), model: '' };
  }
}

/** OpenAI has no null here, and the token that ends an answer has no bytes. */
function withBytes({ token, logprob, bytes, top_logprobs }: ChatLogprob): TokenLogprob {
  const top = top_logprobs.map((each) => ({ token: each.token, logprob: each.logprob, bytes: each.bytes ?? [] }));
  return { token, logprob, bytes: bytes ?? [], top_logprobs: top };
}

function withoutBytes({ token, logprob, top_logprobs }: TokenLogprob) {
  return { token, logprob, top_logprobs: top_logprobs.map((each) => ({ token: each.token, logprob: each.logprob })) };
}

function usageOf(last: ChatChunk | null): { usage?: ResponseUsage } {
  if (last?.usage == null) return {};
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: details } = last.usage;
  const usage: ResponseUsage = {
    input_tokens: prompt_tokens,
    input_tokens_details: { cached_tokens: details?.cached_tokens ?? 0, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
  return { usage };
}
