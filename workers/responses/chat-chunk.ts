/** What the chat route writes, as far as a response is made of it. */
import type { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import type { ErrorBody } from '#shared/api/errors.ts';

type CallDelta = { index: number; id?: string; function?: { name?: string; arguments?: string } };

/** Of the only choice. */
export type ChatDelta = {
  content?: string | null;
  refusal?: string | null;
  tool_calls?: CallDelta[];
};
export type ChatLogprob = NonNullable<
  NonNullable<ChatCompletionChunk['choices'][number]['logprobs']>['content']
>[number];
type ChatChoice = {
  delta: ChatDelta;
  logprobs?: { content?: ChatLogprob[] | null } | null;
  finish_reason: string | null;
};

/** The last one has the usage and the whole extension. */
export type ChatChunk = Pick<ChatCompletion, 'created' | 'model'> & {
  choices: ChatChoice[];
  usage?: ChatCompletion['usage'] | null;
  plimsoll?: ChatCompletion['plimsoll'];
};

type WholeMessage = Omit<ChatDelta, 'tool_calls'> & { tool_calls?: Omit<CallDelta, 'index'>[] };
type WholeChat = Omit<ChatChunk, 'choices'> & { choices: (Omit<ChatChoice, 'delta'> & { message: WholeMessage })[] };

/** A whole completion as one chunk, so that both are read in the same way. */
export function asChunk({ choices, ...rest }: WholeChat): ChatChunk {
  const whole = choices.map(({ message: { tool_calls = [], ...message }, ...choice }) => ({
    ...choice,
    delta: { ...message, tool_calls: tool_calls.map((call, index) => ({ ...call, index })) },
  }));
  return { ...rest, choices: whole };
}

/** Reads the JSON of an event or of a whole body. The chat route's own writer has written it. */
export function readWritten<T extends ChatChunk | WholeChat>(json: string): T | ErrorBody {
  // The cast: tests hold what the chat route writes to its schemas.
  return JSON.parse(json) as T | ErrorBody;
}
