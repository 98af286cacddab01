/**
 * Marks the token frames of an answer: with each token, the backend vouches for the account up to
 * it. This is the same MAC as Web Crypto's in shared/protocol, but synchronous and at a fifth of
 * its cost, because every token of every answer needs one.
 */
import { createHash, createHmac } from 'node:crypto';
import { addWeight, NO_WEIGHTS } from '#shared/gate/index.ts';
import { type AnswerContext, contextText, MacBytes, type Mark } from '#shared/protocol/frame-mac.ts';
import { IdBytes } from '#shared/protocol/ids-digest.ts';
import type { AnswerState } from '../engine/answer-state.ts';
import type { DrawnToken } from '../engine/engine.ts';

/** Returns the mark of the answer's next token. */
export type MarkToken = (token: Pick<DrawnToken, 'id' | 'weight' | 'spent' | 'ran' | 'second_look'>) => Mark;

/**
 * @param frameKey see `deriveFrameKey`
 * @param resume where the answer begins here, if another backend began it
 */
export function frameMarks(
  frameKey: Uint8Array,
  { resume, ...about }: Omit<AnswerContext, 'secondLook' | 'from'> & { resume: AnswerState | null },
): MarkToken {
  const before = resume?.ids ?? [];
  const ids = createHash('sha256').update(new IdBytes(before).bytes());
  const next = new IdBytes();
  let weights = resume?.weights ?? NO_WEIGHTS;
  let bytes: MacBytes | null = null;

  return ({ id, weight, spent, ran, second_look }) => {
    bytes ??= new MacBytes(
      createHash('sha256')
        .update(contextText({ ...about, from: before.length, secondLook: resume?.look ?? second_look ?? null }))
        .digest(),
    );
    next.cut(0);
    next.push(id);
    ids.update(next.bytes());
    weights = addWeight(weights, weight);
    const account = { position: weights.count, spent, weights, ran };
    const mac = createHmac('sha256', frameKey).update(bytes.of(account, ids.copy().digest()));
    return { mac: mac.digest('base64url'), ran, ...(second_look && { second_look }) };
  };
}
