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
  { trace, includeUsage, onError }: StreamOptions,
): AsyncGenerator<string, void, void> {
  try {
    const answer = await begun;
    const { events, decided } = answer;
    const { delta, textDelta, end } = writeChunks(answer, { trace, includeUsage });
    const traced = (tokens: SentExtension['tokens']) => (trace === 'tokens' ? { tokens } : undefined);

    yield delta({ role: 'assistant', content: '', refusal: null }, traced([]));
    let next = await events.next();
    for (; !next.done; next = await events.next()) {
      const { text, tokens } = next.value;
      if (trace === 'tokens') yield delta({ content: text }, traced(tokens));
      // Some events are not worth a chunk, such as a token whose text is still held back.
      else if (text !== '') yield textDelta(text);
    }
    const refusal = textOfRefusal(next.value, decided);
    if (refusal !== '') yield delta({ content: refusal }, traced([]));
    yield end(next.value);
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    onError(error);
    yield toEvent(error.toBody());
  }
}

/** What makes the events of one answer. */
function writeChunks(
  { head, extension, decided }: BegunAnswer,
  { trace, includeUsage }: Pick<StreamOptions, 'trace' | 'includeUsage'>,
) {
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

  const delta = (delta: Delta, plimsoll?: SentExtension): string =>
    chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason: null }] }, plimsoll);

  // Nearly all events are text and nothing else, and all but the text of them is the same. No text
  // inside the JSON can look like this field: its quotes would be escaped.
  const [before, after] = delta({ content: '' }).split('"content":""');
  const textDelta = (text: string): string => `${before}"content":${JSON.stringify(text)}${after}`;

  const end = (end: AnswerEnd): string => {
    const { finish_reason, usage } = end.receipt;
    const summary = finalExtension(extension, { end, decided, trace, tokens: [] });
    const choices = [{ index: 0 as const, delta: {}, logprobs: null, finish_reason }];
    const traced = trace === 'tokens' ? { tokens: [] } : undefined;
    return includeUsage
      ? chunk({ choices }, traced) + chunk({ choices: [], usage }, summary) + DONE
      : chunk({ choices }, summary) + DONE;
  };

  return { delta, textDelta, end };
}

const DONE = 'data: [DONE]\n\n';

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
