/**
 * An answer as server-sent events, in OpenAI's order: a chunk with the role, chunks with text, one with the
 * `finish_reason`, on request one with the usage, `[DONE]`. The `plimsoll` summary is on the last chunk before `[DONE]`.
 * A stream that breaks ends with an `error` event instead and never with `[DONE]`.
 */
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { SentExtension } from '#shared/api/plimsoll-extension.ts';
import { type AnswerHead, finalExtension, type Trace } from './answer-extension.ts';
import type { AnswerEvent } from './read-answer.ts';
import type { CompletionHead } from './whole-answer.ts';

export type StreamOptions = {
  head: CompletionHead;
  extension: AnswerHead;
  trace: Trace;
  includeUsage: boolean;
  /** The client left; nothing more will be read. */
  onCancel: () => void;
  onError: (error: PlimsollError) => void;
};

type Delta = ChatCompletionChunk['choices'][number]['delta'];

export function streamAnswer(
  events: AsyncGenerator<AnswerEvent, void, void>,
  { head, extension, trace, includeUsage, onCancel, onError }: StreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const { id, ...shared } = head;
  let isCancelled = false;

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

  const endChunks = (end: Extract<AnswerEvent, { type: 'answer-end' }>): string => {
    const { finish_reason, usage } = end.receipt;
    const summary = finalExtension(extension, { end, trace, tokens: [] });
    const choices = [{ index: 0 as const, delta: {}, logprobs: null, finish_reason }];
    return includeUsage
      ? chunk({ choices }, traced([])) + chunk({ choices: [], usage }, summary) + DONE
      : chunk({ choices }, summary) + DONE;
  };

  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(deltaChunk({ role: 'assistant', content: '', refusal: null }, traced([]))));
    },
    async pull(controller) {
      try {
        // Some events are not worth a chunk (a token whose text is still held back); go on to one that is.
        for (;;) {
          const { value: event, done } = await events.next();
          if (done) return controller.close();
          const text =
            event.type === 'answer-end'
              ? endChunks(event)
              : event.text !== '' || trace === 'tokens'
                ? deltaChunk({ content: event.text }, traced(event.tokens))
                : '';
          if (text !== '') return controller.enqueue(encoder.encode(text));
        }
      } catch (thrown) {
        // What the client's own leaving broke is no error, and there is nobody to tell.
        if (isCancelled) return;
        const error = toPlimsollError(thrown);
        onError(error);
        controller.enqueue(encoder.encode(toEvent(error.toBody())));
        controller.close();
      }
    },
    cancel() {
      isCancelled = true;
      onCancel();
    },
  });
}

const DONE = 'data: [DONE]\n\n';

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
