/**
 * All answers of a request, out of one backend's frames. Each is read, resumed and checked by
 * itself: it has an account and a receipt of its own.
 */
import type { CryptoKey, JSONWebKeySet } from 'jose';
import { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { Frame, GenerateBody } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { BackendAnswer } from './attempt.ts';
import { beginAnew } from './begin-anew.ts';
import { checkReceipt } from './check-receipt.ts';
import { mergeAnswers } from './merge-answers.ts';
import { type AnswerEvents, type GoOn, readAnswer } from './read-answer.ts';
import { type ResumeOptions, resumeElsewhere } from './resume-elsewhere.ts';
import { splitChoices } from './split-choices.ts';

export function readAnswers(
  first: BackendAnswer,
  {
    request,
    resuming,
    frameKey,
    jwks,
    onReceipt,
  }: {
    /** What was asked. */
    request: GenerateBody;
    resuming: ResumeOptions;
    frameKey: CryptoKey;
    jwks: JSONWebKeySet;
    /** Called with the receipt of the first answer, once it is checked. */
    onReceipt: (receipt: Receipt) => void;
  },
): AnswerEvents {
  const { n = 1, echo = false } = request;
  const anewOf = beginAnew(resumeElsewhere(resuming), { count: n });
  const read = (frames: AsyncIterable<Frame[]>, choice: number) =>
    readAnswer(
      { ...first, frames },
      {
        account: new AnswerAccount(frameKey, { choice }),
        goOn: n === 1 ? resumeElsewhere(resuming) : either(resumeElsewhere(resuming), anewOf(choice)),
        checkReceipt: async (seen, { member, start, directive }) => {
          // With other weights than when it was last heard, a backend may have another probe.
          const probe = start.bundle === member.bundle ? member.secondLook : null;
          const receipt = await checkReceipt(seen, { jwks, directive, start, asked: request, choice, probe });
          if (choice === 0) onReceipt(receipt);
          return receipt;
        },
        echo: echo && choice === 0,
      },
    );
  if (n === 1) return read(first.frames, 0);
  return mergeAnswers(splitChoices(first.frames, { count: n }).map(read));
}

/** Goes on with one of several answers. Those that have no token yet begin anew together. */
function either(goOn: GoOn, anew: GoOn): GoOn {
  return (account, about) => (account.position > 0 ? goOn : anew)(account, about);
}
