/**
 * Completions of plain prompts as server-sent events: chunks of text, one with the `finish_reason`
 * for each choice, one with the usage if it was asked for, and `[DONE]`. The `plimsoll` summary is
 * on the last chunk. A stream that breaks ends with an `error` event instead.
 */
import type { Usage } from '#shared/api/chat-answer.ts';
import type { CompletionChunk, CompletionLogprobs } from '#shared/api/completion-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { SentExtension } from '#shared/api/plimsoll-extension.ts';
import {
  type BegunAnswer,
  type EndedChoice,
  endedChoices,
  finalExtension,
  textOfRefusal,
  tracedTokens,
} from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import { completionLogprobs } from './completion-logprobs.ts';
import { completionHead } from './whole-completion.ts';
import type { Wishes } from './wishes.ts';

type StreamOptions = Wishes & { includeUsage: boolean; onError: (error: PlimsollError) => void };

/** The text of each event. It never throws: an error becomes the last event. */
export async function* streamCompletion(
  begun: Promise<BegunAnswer>,
  { trace, top, logprobs: listed, choices: perPrompt, includeUsage, onError }: StreamOptions,
): AsyncGenerator<string, void, void> {
  try {
    const answer = await begun;
    const head = completionHead(answer);
    const lists = new Map<number, ReturnType<typeof completionLogprobs>>();
    const listsOf = (choice: number) => {
      const known = lists.get(choice) ?? completionLogprobs({ top: listed ?? 0 });
      lists.set(choice, known);
      return known;
    };
    const chunk = (choices: CompletionChunk['choices'], plimsoll?: SentExtension, usage: Usage | null = null) =>
      toEvent({ ...head, choices, ...(includeUsage && { usage }), ...(plimsoll && { plimsoll }) });
    const piece = (index: number, text: string, logprobs: CompletionLogprobs | null) => ({
      ...{ index, text, finish_reason: null },
      logprobs: listed === null ? null : logprobs,
    });

    let next = await answer.events.next();
    for (; !next.done; next = await answer.events.next()) {
      const { text, tokens, logprobs = [], choice: index = 0, echo } = next.value;
      if (echo !== undefined) {
        for (let own = index; own < index + perPrompt; own++) {
          yield chunk([piece(own, echo.text, listsOf(own).echo(echo))]);
        }
        continue;
      }
      const isTraced = trace === 'tokens';
      // Some events are not worth a chunk, such as a token whose text is still held back.
      if (text === '' && !isTraced && listed === null) continue;
      const traced = isTraced ? { tokens: tracedTokens(tokens, { top }) } : undefined;
      yield chunk([piece(index, text, listed === null ? null : listsOf(index).tokens(logprobs))], traced);
    }
    yield* lastChunks(endedChoices(answer, next.value), usageOf(next.value, { perPrompt }));

    function* lastChunks(ended: readonly EndedChoice[], usage: Usage): Generator<string, void, void> {
      const summaries = ended.map(({ end, extension, decided }) =>
        finalExtension(extension, { end, decided, trace, tokens: [] }),
      );
      for (const [index, { end, decided }] of ended.entries()) {
        const plimsoll = summaries[index];
        const { finish_reason } = end.receipt;
        const text = textOfRefusal(end, decided);
        const isLast = index === ended.length - 1 && !includeUsage;
        const choice = { index, text, logprobs: null, finish_reason, ...(index > 0 && plimsoll && { plimsoll }) };
        yield chunk([choice], isLast ? summaries[0] : undefined);
      }
      if (includeUsage) yield chunk([], summaries[0], usage);
      yield 'data: [DONE]\n\n';
    }
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    onError(error);
    yield toEvent(error.toBody());
  }
}

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
