/**
 * The text of prompts that come as token ids: only a backend has the tokenizer. The edge classifies
 * it like any text, so ids get no looser line than what they say. If no backend can tell, nothing
 * is answered.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { DECODE_PATH, DecodeAnswer, type DecodeRequest, decodeKey, signDecodeOrder } from '#shared/protocol/decode.ts';
import { askOneOf, type OrderedWork } from './ask-one-of.ts';
import { isOnlyHelpful, type PoolMember } from './pool-member.ts';
import { membersServing } from './served-models.ts';

/** For all that are asked. */
const TIMEOUT_MS = 10_000;

type DecodedPrompts = {
  /** In order. */
  texts: string[];
  /** Whose tokenizer it was. Another bundle's may read the ids otherwise. */
  bundle: string;
};

/** @param members those that the tenant knows of */
export async function decodePrompts(
  asked: DecodeRequest,
  {
    members,
    directiveKey,
    ...about
  }: { members: readonly PoolMember[]; directiveKey: Uint8Array } & Pick<
    OrderedWork<DecodeAnswer>,
    'trace' | 'request' | 'tenant' | 'client'
  >,
): Promise<DecodedPrompts> {
  // The helpfulness pool may be other people's: what it says decides nothing about the line.
  const able = membersServing(members, asked.model).filter((member) => !isOnlyHelpful(member));
  const context = Math.max(0, ...able.map(({ contextLength }) => contextLength));
  const longest = Math.max(...asked.prompts.map(({ length }) => length));
  if (able.length > 0 && longest >= context) throw contextLengthExceeded(longest, context);
  const key = await decodeKey(directiveKey);
  const { texts, bundle } = await askOneOf(able, {
    ...about,
    path: DECODE_PATH,
    body: JSON.stringify(asked satisfies DecodeRequest),
    answer: DecodeAnswer.refine(({ model, texts }) => model === asked.model && texts.length === asked.prompts.length),
    sign: (order) => signDecodeOrder(order, key),
    timeoutMs: TIMEOUT_MS,
  });
  return { texts, bundle };
}
