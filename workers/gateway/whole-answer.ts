/** An answer in one piece. */
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { type AnswerHead, finalExtension, type Trace } from './answer-extension.ts';
import type { AnswerEvent } from './read-answer.ts';
import { brokenOff } from './read-frames.ts';

/** The fields that a whole answer and every chunk of a stream share. */
export type CompletionHead = Pick<ChatCompletion, 'id' | 'created' | 'model' | 'system_fingerprint'>;

export async function wholeAnswer(
  events: AsyncIterable<AnswerEvent>,
  { head, extension, trace }: { head: CompletionHead; extension: AnswerHead; trace: Trace },
): Promise<ChatCompletion> {
  const { id, ...shared } = head;
  let content = '';
  const tokens: TokenTrace[] = [];
  for await (const event of events) {
    if (event.type === 'text-delta') {
      content += event.text;
      tokens.push(...event.tokens);
      continue;
    }
    const { finish_reason, usage } = event.receipt;
    const message = { role: 'assistant' as const, content, refusal: null };
    return {
      id,
      object: 'chat.completion',
      ...shared,
      choices: [{ index: 0, message, logprobs: null, finish_reason }],
      usage,
      plimsoll: finalExtension(extension, { end: event, trace, tokens }),
    };
  }
  throw brokenOff('no answer-end');
}
