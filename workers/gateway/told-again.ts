/** An answer that was made for another request, as this request's client is told it. */

import type { Tool } from '#shared/api/tool-calls.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { type CachedReceipt, digestOfMessages } from '#shared/protocol/edge-receipt.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { type Decided, shadowOf } from './answer-extension.ts';
import { countShadow } from './count-shadow.ts';
import type { SignEdgeReceipt } from './edge-receipt.ts';
import type { AnswerEvents, ChoiceEnd } from './read-answer.ts';

/**
 * The same events. At their end there is a receipt of the edge's own, which says that this request
 * has got that answer.
 */
export async function* toldAgain(
  events: AnswerEvents,
  {
    how,
    directive: { request, tenant, key, policy, classifier },
    messages,
    tools,
    decided,
    sign,
  }: {
    how: CachedReceipt['how'];
    /** This request's own. No backend has seen it. */
    directive: Pick<Directive, 'request' | 'tenant' | 'key' | 'policy' | 'classifier'>;
    messages: readonly Message[];
    tools: readonly Tool[];
    decided: Decided;
    /** null: the deployment has no key for it. */
    sign: SignEdgeReceipt | null;
  },
): AnswerEvents {
  const end = yield* events;
  const { more, ...first } = end;
  countShadow(shadowOf(decided, first.receipt), { request, tenant, policy });
  const told = async (choice: ChoiceEnd): Promise<ChoiceEnd> => {
    const { receipt, receiptToken } = choice;
    const edgeReceipt = await sign?.({
      kind: 'cached',
      how,
      ...{ request, tenant, key, policy, classifier },
      messages_digest: await digestOfMessages(messages, tools),
      first: { request: receipt.request, receipt_digest: await sha256Hex(receiptToken) },
      answer_digest: receipt.answer_digest,
    });
    return { ...choice, edgeReceipt };
  };
  return { ...(await told(first)), ...(more && { more: await Promise.all(more.map(told)) }) };
}
