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
import type { ToolCallDelta } from '#shared/api/tool-calls.ts';
import type { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { EndFrame, Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { EchoedPrompt, TokenLogprob } from '#shared/protocol/token-logprob.ts';
import type { BackendAnswer } from './attempt.ts';
import type { SeenAnswer } from './check-receipt.ts';
import { toEchoed, toLogprob } from './frame-logprobs.ts';
import { brokenOff } from './read-frames.ts';
import { mayAskAgain } from './resume-elsewhere.ts';

export type TextDelta = {
  text: string;
  tokens: TokenTrace[];
  /** One for each of the tokens, if the request wants them. */
  logprobs?: TokenLogprob[];
  /** Which of the request's answers it belongs to, from 0. Left out for the first. */
  choice?: number;
  /** What it calls. Only of an answer whose calls are read (read-tool-calls.ts). */
  calls?: ToolCallDelta[];
  /** The prompt, before anything else, if the request wants it. It belongs to every answer. */
  echo?: EchoedPrompt;
};
/** How one of a request's answers has ended. */
export type ChoiceEnd = {
  receiptToken: string;
  receipt: Receipt;
  /** The edge's own receipt, if the answer was made for another request. */
  edgeReceipt?: string | undefined;
  /**
   * How many calls were read in it, whether the last one has not ended, and the text that they were
   * read in.
   */
  called?: { calls: number; isCut: boolean; text: string };
};
/** The end of the first answer, and of the others in their order. */
export type AnswerEnd = ChoiceEnd & { more?: readonly ChoiceEnd[] };
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
    echo = false,
  }: {
    account: AnswerAccount;
    goOn: GoOn;
    /** Whether the prompt was asked for. */
    echo?: boolean;
    /** @param last the backend that signed */
    checkReceipt: (seen: SeenAnswer, last: BackendAnswer) => Promise<Receipt>;
  },
): AnswerEvents {
  let backend = first;
  let answer = '';
  let isEchoed = false;
  for (;;) {
    await account.begin(backend);
    let part: EndOfPart;
    try {
      part = yield* readPart(backend.frames, account, {
        onText: (text) => {
          answer += text;
        },
        // Another backend that begins anew sends it again.
        takesEcho: () => {
          const isWanted = echo && !isEchoed;
          isEchoed = true;
          return isWanted;
        },
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
  { onText, takesEcho }: { onText: (text: string) => void; takesEcho: () => boolean },
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
        // Those of several answers are told apart before (split-choices.ts).
        if ('choice' in frame && frame.choice !== undefined) throw brokenOff('a frame that was not asked for');
        if (frame.type === 'echo') {
          if (takesEcho()) yield { text: '', tokens: [], echo: toEchoed(frame) };
        } else if (frame.type === 'end') end = frame;
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
        const logprobs = vouched[0]?.bytes === undefined ? undefined : vouched.map(toLogprob);
        yield { text, tokens: vouched.map(toTrace), ...(logprobs && { logprobs }) };
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
