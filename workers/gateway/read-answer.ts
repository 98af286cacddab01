/**
 * Turns the frames of backends into an answer: text as it comes, and one end.
 *
 * A token is passed on once its backend has vouched for it. If the backend breaks off, another one
 * goes on from there, so no token is lost or comes twice. What nobody vouched for was never sent,
 * and is drawn again.
 *
 * The end exists only with a valid receipt. Nothing may follow it.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { EndFrame, Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { BackendAnswer } from './attempt.ts';
import type { SeenAnswer } from './check-receipt.ts';
import { brokenOff } from './read-frames.ts';
import { mayAskAgain } from './resume-elsewhere.ts';

export type TextDelta = { text: string; tokens: TokenTrace[] };
export type AnswerEnd = {
  receiptToken: string;
  receipt: Receipt;
  /** The edge's own receipt, if the answer was made for another request. */
  edgeReceipt?: string | undefined;
};
/** Returns the end once the answer is complete, and throws if the answer breaks. */
export type AnswerEvents = AsyncGenerator<TextDelta, AnswerEnd, void>;

/**
 * Finds a backend that goes on from where the account is. Rejects with `broken`, or with what went
 * wrong, if there is none.
 */
export type GoOn = (
  account: AnswerAccount,
  about: { last: BackendAnswer; broken: PlimsollError },
) => Promise<BackendAnswer>;

export async function* readAnswer(
  first: BackendAnswer,
  {
    account,
    goOn,
    checkReceipt,
  }: {
    account: AnswerAccount;
    goOn: GoOn;
    /** @param last the backend that signed */
    checkReceipt: (seen: SeenAnswer, last: BackendAnswer) => Promise<Receipt>;
  },
): AnswerEvents {
  let backend = first;
  let answer = '';
  for (;;) {
    await account.begin(backend);
    let part: EndOfPart;
    try {
      part = yield* readPart(backend.frames, account, (text) => {
        answer += text;
      });
    } catch (thrown) {
      if (!mayAskAgain(thrown)) throw thrown;
      backend = await goOn(account, { last: backend, broken: thrown });
      continue;
    }
    const { end, rest, isFollowed } = part;
    if (isFollowed) throw brokenOff('a frame after the last one');
    answer += rest;
    if (rest !== '') yield { text: rest, tokens: [] };
    const receipt = await checkReceipt({ text: answer, account, end }, backend);
    return { receiptToken: end.receipt, receipt };
  }
}

type EndOfPart = {
  end: EndFrame;
  /** Text after the last token: it was held back, and turned out not to be a stop string. */
  rest: string;
  /** Whether there were frames after the end. */
  isFollowed: boolean;
};

/** What one backend sends, up to its end. Throws if it breaks off before. */
async function* readPart(
  frames: AsyncIterable<Frame[]>,
  account: AnswerAccount,
  onText: (text: string) => void,
): AsyncGenerator<TextDelta, EndOfPart, void> {
  let end: EndFrame | undefined;
  let rest = '';
  try {
    for await (const batch of frames) {
      let error: Extract<Frame, { type: 'error' }> | undefined;
      for (const frame of batch) {
        if (end !== undefined) return { end, rest, isFollowed: true };
        if (error !== undefined) throw brokenOff('a frame after an error');
        if (frame.type === 'start' || frame.type === 'waiting')
          throw brokenOff(`a ${frame.type} frame after the start`);
        // It has shown that the backend is at work. There is nothing in it for the client.
        if (frame.type === 'reading') continue;
        // The edge asks for one answer and no echo.
        if (frame.type === 'echo' || ('choice' in frame && frame.choice !== undefined)) {
          throw brokenOff('a frame that was not asked for');
        }
        if (frame.type === 'end') end = frame;
        else if (frame.type === 'error') error = frame;
        else if (frame.type === 'text') rest += frame.text;
        else if (rest !== '') throw brokenOff('a token after the last text');
        else account.push(frame);
      }
      const vouched = await account.vouch();
      if (vouched === null) throw brokenOff('a token with a wrong MAC');
      if (vouched.length > 0) {
        const text = vouched.map((token) => token.text).join('');
        onText(text);
        yield { text, tokens: vouched.map(toTrace) };
      }
      if (error !== undefined) throw new PlimsollError(error.code, error.message);
      if (end !== undefined && account.isBehind) {
        end = undefined;
        throw brokenOff('a token without a MAC');
      }
    }
  } catch (thrown) {
    // Whoever has heard the end misses nothing.
    if (end === undefined) throw thrown;
  }
  if (end === undefined) throw brokenOff('the stream ended before the answer did');
  return { end, rest, isFollowed: false };
}

/** Each field by name: a copy of all but some costs as much as the rest of a token's way. */
function toTrace({ id, text, weight, floor, lp_s, lp_h, lp, spent, top }: TokenFrame): TokenTrace {
  const trace: TokenTrace = { id, text, weight, floor, lp_s, lp_h, lp, spent };
  if (top !== undefined) trace.top = top.map(({ bytes: _own, ...likely }) => likely);
  return trace;
}
