/**
 * The text of prompts that come as token ids: only a backend has the tokenizer. The edge classifies
 * it like any text, so ids get no looser line than what they say. If no backend can tell, nothing
 * is answered.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { DECODE_PATH, DecodeAnswer, type DecodeRequest, decodeKey, signDecodeOrder } from '#shared/protocol/decode.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { wellFirst } from './ask-one-of.ts';
import { backendRefusal } from './backend-refusal.ts';
import { isOnlyHelpful, type PoolMember } from './pool-member.ts';
import { membersServing } from './served-models.ts';

/** For all that are asked. */
const TIMEOUT_MS = 10_000;
/** As many as are asked for an answer. If they fail, the trouble is not with one of them. */
const MOST_ASKED = 3;

type DecodedPrompts = {
  /** In order. */
  texts: string[];
  /** Whose tokenizer it was. Another bundle's may read the ids otherwise. */
  bundle: string;
};

/** @param members those that the tenant knows of */
export async function decodePrompts(
  asked: DecodeRequest,
  { members, requestId, directiveKey }: { members: readonly PoolMember[]; requestId: string; directiveKey: Uint8Array },
): Promise<DecodedPrompts> {
  const body = JSON.stringify(asked satisfies DecodeRequest);
  const digest = await sha256Hex(body);
  const key = await decodeKey(directiveKey);
  // The helpfulness pool may be other people's: what it says decides nothing about the line.
  const able = membersServing(members, asked.model).filter((member) => !isOnlyHelpful(member));
  const context = Math.max(0, ...able.map(({ contextLength }) => contextLength));
  const longest = Math.max(...asked.prompts.map(({ length }) => length));
  if (able.length > 0 && longest >= context) throw contextLengthExceeded(longest, context);
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let lastCause: unknown;
  for (const { url } of wellFirst(able).slice(0, MOST_ASKED)) {
    if (signal.aborted) break;
    try {
      const order = await signDecodeOrder({ id: crypto.randomUUID(), request: requestId, digest }, key);
      const answer = await fetch(`${url}${DECODE_PATH}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${order}` },
        body,
        signal,
      });
      if (!answer.ok) throw await backendRefusal(answer);
      const { model, bundle, texts } = DecodeAnswer.parse(await answer.json());
      if (model === asked.model && texts.length === asked.prompts.length) return { texts, bundle };
      throw new Error(`found ${texts.length} texts of ${model}`);
    } catch (cause) {
      if (cause instanceof PlimsollError && cause.status < 500 && cause.code !== 'model_not_found') throw cause;
      lastCause = cause;
    }
  }
  throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause: lastCause });
}
