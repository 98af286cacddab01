/**
 * Turns a backend's frames into an answer: text as it comes, and one end. The end exists only with
 * a valid receipt, and only after the stream itself has ended. So nothing can follow it, and the
 * connection to the backend is free again.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { Frame } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { SeenAnswer } from './check-receipt.ts';
import { brokenOff } from './read-frames.ts';

type TextDelta = { text: string; tokens: TokenTrace[] };
export type AnswerEnd = { receiptToken: string; receipt: Receipt };
/** Returns the end once the answer is complete, and throws if the answer breaks. */
export type AnswerEvents = AsyncGenerator<TextDelta, AnswerEnd, void>;

export async function* readAnswer(
  frames: AsyncIterable<Frame[]>,
  { checkReceipt }: { checkReceipt: (seen: SeenAnswer) => Promise<Receipt> },
): AnswerEvents {
  let answer = '';
  let drawn = 0;
  let end: AnswerEnd | undefined;
  for await (const batch of frames) {
    let text = '';
    const tokens: TokenTrace[] = [];
    let last: Extract<Frame, { type: 'end' | 'error' }> | undefined;
    for (const frame of batch) {
      if (frame.type === 'start' || frame.type === 'waiting') throw brokenOff(`a ${frame.type} frame after the start`);
      // It has shown that the backend is at work. There is nothing in it for the client.
      if (frame.type === 'reading') continue;
      // The edge asks for one answer and no echo.
      if (frame.type === 'echo' || ('choice' in frame && frame.choice !== undefined)) {
        throw brokenOff('a frame that was not asked for');
      }
      if (end !== undefined || last !== undefined) throw brokenOff('a frame after the last one');
      if (frame.type === 'end' || frame.type === 'error') {
        last = frame;
        continue;
      }
      text += frame.text;
      if (frame.type === 'token') {
        const { type: _type, choice: _choice, bytes: _bytes, top: _top, ...token } = frame;
        tokens.push(token);
      }
    }
    answer += text;
    drawn += tokens.length;
    if (text !== '' || tokens.length > 0) yield { text, tokens };
    if (last?.type === 'error') throw new PlimsollError(last.code, last.message);
    if (last?.type === 'end') {
      const receipt = await checkReceipt({ text: answer, tokens: drawn, end: last });
      end = { receiptToken: last.receipt, receipt };
    }
  }
  if (end === undefined) throw brokenOff('the stream ended before the answer did');
  return end;
}
