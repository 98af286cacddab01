/** How a scripted backend vouches for its tokens: by shared/protocol, with Node's own HMAC. */
import { createHash, createHmac } from 'node:crypto';
import { addWeight, NO_WEIGHTS, type RunningWeights } from '#shared/gate/index.ts';
import { type AnswerContext, contextText, MacBytes, type Mark } from '#shared/protocol/frame-mac.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import { IdBytes } from '#shared/protocol/ids-digest.ts';
import type { ResumeState } from '#shared/protocol/resume.ts';

export type Marked = { mark: Mark; weights: RunningWeights };

/** Returns a function that marks the next token, and tells the answer's weights up to it. */
export function markFrames(
  frameKey: Uint8Array,
  { resume, ids: before, ...context }: AnswerContext & { resume: ResumeState | null; ids: readonly number[] },
): (token: TokenFrame) => Marked {
  const ids = new IdBytes(before);
  const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest();
  const bytes = new MacBytes(sha256(contextText(context)));
  let weights: RunningWeights = resume === null ? NO_WEIGHTS : { count: resume.position, ...resume.weights };
  return ({ id, weight, spent }) => {
    ids.push(id);
    weights = addWeight(weights, weight);
    const ran = { safety: weights.count, helpfulness: weights.count };
    const account = { position: weights.count, spent, weights, ran };
    const mac = createHmac('sha256', frameKey).update(bytes.of(account, sha256(ids.bytes())));
    const { secondLook } = context;
    const isFirst = weights.count === 1;
    const mark = { mac: mac.digest('base64url'), ran, ...(isFirst && secondLook && { second_look: secondLook }) };
    return { mark, weights };
  };
}
