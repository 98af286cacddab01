/**
 * An answer as server-sent events, in OpenAI's order: a chunk with the role, chunks with text, one
 * with the `finish_reason`, one with the usage if it was asked for, and `[DONE]`. The `plimsoll`
 * summary is on the last chunk before `[DONE]`. A stream that breaks ends with an `error` event
 * instead, and never with `[DONE]`.
 */
import type { ChatCompletionChunk, Usage } from '#shared/api/chat-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { SentExtension, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { ChatLogprobs } from '#shared/api/token-logprobs.ts';
import {
  type BegunAnswer,
  type EndedChoice,
  endedChoices,
  finalExtension,
  textOfRefusal,
  tracedTokens,
} from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import { chatLogprobs } from './chat-logprobs.ts';
import { chatFinishReason } from './read-tool-calls.ts';
import type { Wishes } from './wishes.ts';

type StreamOptions = Wishes & {
  includeUsage: boolean;
  onError: (error: PlimsollError) => void;
};

type Delta = ChatCompletionChunk['choices'][number]['delta'];

/** The text of each event. It never throws: an error becomes the last event. */
export async function* streamAnswer(
  begun: Promise<BegunAnswer>,
  { onError, ...options }: StreamOptions,
): AsyncGenerator<string, void, void> {
  try {
    const answer = await begun;
    const { trace, top, logprobs: listed, choices } = options;
    const { delta, textDelta, end } = writeChunks(answer, options);
    const traced = (tokens: TokenTrace[]) =>
      trace === 'tokens' ? { plimsoll: { tokens: tracedTokens(tokens, { top }) } } : {};

    for (let index = 0; index < choices; index++) {
      yield delta({ role: 'assistant', content: '', refusal: null }, { index, ...traced([]) });
    }
    let next = await answer.events.next();
    for (; !next.done; next = await answer.events.next()) {
      const { text, tokens, logprobs: likely = [], choice: index = 0, calls: tool_calls } = next.value;
      if (tool_calls !== undefined || trace === 'tokens' || listed !== null) {
        const logprobs = listed === null ? null : chatLogprobs(likely, { top: listed });
        const said = tool_calls === undefined ? { content: text } : { tool_calls };
        yield delta(said, { index, logprobs, ...traced(tokens) });
      }
      // Some events are not worth a chunk, such as a token whose text is still held back.
      else if (text !== '') yield textDelta(text, index);
    }
    const ended = endedChoices(answer, next.value);
    for (const [index, { end, decided }] of ended.entries()) {
      const refusal = textOfRefusal(end, decided);
      if (refusal !== '') yield delta({ content: refusal }, { index, ...traced([]) });
    }
    yield end(ended, usageOf(next.value));
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    onError(error);
    yield toEvent(error.toBody());
  }
}

/** What makes the events of one answer. */
function writeChunks({ head }: BegunAnswer, { trace, includeUsage }: Pick<StreamOptions, 'trace' | 'includeUsage'>) {
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

  const delta = (
    delta: Delta,
    { index, logprobs = null, plimsoll }: { index: number; logprobs?: ChatLogprobs | null; plimsoll?: SentExtension },
  ): string => chunk({ choices: [{ index, delta, logprobs, finish_reason: null }] }, plimsoll);

  // Nearly all events are text and nothing else, and all but the text of them is the same. No text
  // inside the JSON can look like this field: its quotes would be escaped.
  const around: (readonly [string, string])[] = [];
  const aroundText = (index: number) => {
    const [before = '', after = ''] = delta({ content: '' }, { index }).split('"content":""');
    around[index] = [before, after];
    return around[index];
  };
  const textDelta = (text: string, index: number): string => {
    const [before, after] = around[index] ?? aroundText(index);
    return `${before}"content":${JSON.stringify(text)}${after}`;
  };

  const end = (ended: readonly EndedChoice[], usage: Usage): string => {
    const summaries = ended.map(({ end, extension, decided }) =>
      finalExtension(extension, { end, decided, trace, tokens: [] }),
    );
    const traced = trace === 'tokens' ? { tokens: [] } : undefined;
    const finished = ended.map(({ end }, index) => {
      const plimsoll = summaries[index]!;
      const finish_reason = chatFinishReason(end);
      return { index, delta: {}, logprobs: null, finish_reason, ...(index > 0 && { plimsoll }) };
    });
    // The summary of the first answer is on the last chunk.
    const chunks = finished.map((choice, index) => {
      const isLast = index === finished.length - 1 && !includeUsage;
      return chunk({ choices: [choice] }, isLast ? summaries[0] : traced);
    });
    const last = includeUsage ? chunk({ choices: [], usage }, summaries[0]) : '';
    return chunks.join('') + last + DONE;
  };

  return { delta, textDelta, end };
}

const DONE = 'data: [DONE]\n\n';

function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}
