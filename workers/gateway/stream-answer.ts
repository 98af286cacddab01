/**
 * An answer as server-sent events, in OpenAI's order: a chunk with the role, chunks with text, one
 * with the `finish_reason`, one with the usage if it was asked for, and `[DONE]`. The `plimsoll`
 * summary is on the last chunk before `[DONE]`. A stream that breaks ends with an `error` event
 * instead, and never with `[DONE]`.
 */
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { SentExtension } from '#shared/api/plimsoll-extension.ts';
import { type BegunAnswer, finalExtension, type Trace, textOfRefusal } from './answer-extension.ts';
import type { AnswerEnd } from './read-answer.ts';

type StreamOptions = {
  trace: Trace;
  includeUsage: boolean;
  onError: (error: PlimsollError) => void;
};

type Delta = ChatCompletionChunk['choices'][number]['delta'];

/** The text of each event. It never throws: an error becomes the last event. */
export async function* streamAnswer(
  begun: Promise<BegunAnswer>,
  options: StreamOptions,
): AsyncGenerator<string, void, void> {
  try {
    yield* chunksOf(await begun, options);
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    options.onError(error);
    yield toEvent(error.toBody());
  }
}

async function* chunksOf(
  { events, head, extension, decided }: BegunAnswer,
  { trace, includeUsage }: StreamOptions,
): AsyncGenerator<string, void, void> {
  const { id, ...shared } = head;

  const chunk = (rest: Pick<ChatCompletionChunk, 'choices' | 'usage'>, plimsoll?: SentExtension): string =>
    toEvent({
      id,
      object: 'chat.completion.chunk',
      ...shared,
      choices: rest.choices,
      ...(includeUsage && { usage: rest.usage ?? null }),
      ...(plimsoll !== undefined && { plimsoll }),
    } satisfies ChatCompletionChunk);

  const deltaChunk = (delta: Delta, plimsoll?: SentExtension): string =>
    chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason: null }] }, plimsoll);

  const traced = (tokens: SentExtension['tokens']): SentExtension | undefined =>
    trace === 'tokens' ? { tokens } : undefined;

  const endChunks = (end: AnswerEnd): string => {
    const { finish_reason, usage } = end.receipt;
    const summary = finalExtension(extension, { end, decided, trace, tokens: [] });
    const choices = [{ index: 0 as const, delta: {}, logprobs: null, finish_reason }];
    return includeUsage
      ? chunk({ choices }, traced([])) + chunk({ choices: [], usage }, summary) + DONE
      : chunk({ choices }, summary) + DONE;
  };

  yield deltaChunk({ role: 'assistant', content: '', refusal: null }, traced([]));
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    const { text, tokens } = next.value;
    // Some events are not worth a chunk, such as a token whose text is still held back.
    if (text !== '' || trace === 'tokens') yield deltaChunk({ content: text }, traced(tokens));
  }
  const refusal = textOfRefusal(next.value, decided);
  if (refusal !== '') yield deltaChunk({ content: refusal }, traced([]));
  yield endChunks(next.value);
}

const DONE = 'data: [DONE]\n\n';

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
