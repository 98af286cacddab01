/** An answer sent whole. */
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { type BegunAnswer, finalExtension, type Trace, textOfRefusal } from './answer-extension.ts';

export async function wholeAnswer(begun: Promise<BegunAnswer>, { trace }: { trace: Trace }): Promise<ChatCompletion> {
  const { events, head, extension, decided } = await begun;
  const { id, ...shared } = head;
  let content = '';
  const tokens: TokenTrace[] = [];
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    content += next.value.text;
    tokens.push(...next.value.tokens);
  }
  const end = next.value;
  const { finish_reason, usage } = end.receipt;
  content += textOfRefusal(end, decided);
  const message = { role: 'assistant' as const, content, refusal: null };
  return {
    id,
    object: 'chat.completion',
    ...shared,
    choices: [{ index: 0, message, logprobs: null, finish_reason }],
    usage,
    plimsoll: finalExtension(extension, { end, decided, trace, tokens }),
  };
}

/**
 * The same answer as text, for when the status has already been sent. If the answer fails, the
 * error is written in its place.
 */
export async function* wholeAnswerText(
  answer: Promise<ChatCompletion>,
  { onError }: { onError: (error: PlimsollError) => void },
): AsyncGenerator<string, void, void> {
  try {
    // We write at once, so that we notice as soon as possible if the client leaves.
    yield ' ';
    yield JSON.stringify(await answer);
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    onError(error);
    yield JSON.stringify(error.toBody());
  }
}
