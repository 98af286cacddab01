/**
 * A backend's frames as the events of an answer: text as it comes, and one end, which exists only with a valid receipt and
 * once the stream itself has ended, so that nothing can follow it and the connection to the backend is free again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { Frame } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { brokenOff } from './read-frames.ts';

export type AnswerEvent =
  | { type: 'text-delta'; text: string; tokens: TokenTrace[] }
  | { type: 'answer-end'; receiptToken: string; receipt: Receipt };

/** Throws where the answer breaks; a generator that returns has yielded its `answer-end`. */
export async function* readAnswer(
  frames: AsyncIterable<Frame[]>,
  { checkReceipt }: { checkReceipt: (token: string, answer: string) => Promise<Receipt> },
): AsyncGenerator<AnswerEvent, void, void> {
  let answer = '';
  let end: AnswerEvent | undefined;
  for await (const batch of frames) {
    let text = '';
    const tokens: TokenTrace[] = [];
    let last: Extract<Frame, { type: 'end' | 'error' }> | undefined;
    for (const frame of batch) {
      if (frame.type === 'start' || frame.type === 'waiting') throw brokenOff(`a ${frame.type} frame after the start`);
      if (end !== undefined || last !== undefined) throw brokenOff('a frame after the last one');
      if (frame.type === 'end' || frame.type === 'error') {
        last = frame;
        continue;
      }
      text += frame.text;
      if (frame.type === 'token') {
        const { type: _type, ...token } = frame;
        tokens.push(token);
      }
    }
    answer += text;
    if (text !== '' || tokens.length > 0) yield { type: 'text-delta', text, tokens };
    if (last?.type === 'error') throw new PlimsollError(last.code, last.message);
    if (last?.type === 'end') {
      end = { type: 'answer-end', receiptToken: last.receipt, receipt: await checkReceipt(last.receipt, answer) };
    }
  }
  if (end === undefined) throw brokenOff('the stream ended before the answer did');
  yield end;
}
