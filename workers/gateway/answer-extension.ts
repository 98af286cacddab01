/**
 * What we know about an answer as it begins, and its `plimsoll` part in the three sizes that a
 * request may ask for.
 */
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { AnswerExtension, RequestExtension, SentExtension, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { AnswerEnd, AnswerEvents } from './read-answer.ts';
import { refusalText } from './refusal-text.ts';

export type Trace = NonNullable<RequestExtension['trace']>;

/** The part of the extension that is known before the answer begins. */
type EarlyExtension = Pick<AnswerExtension, 'policy' | 'classifier' | 'categories' | 'unread' | 'uncertain' | 'cache'>;

/** The fields that a whole answer and every chunk of a stream share. */
type CompletionHead = Pick<ChatCompletion, 'id' | 'created' | 'model' | 'system_fingerprint'>;

export type BegunAnswer = {
  events: AnswerEvents;
  head: CompletionHead;
  extension: EarlyExtension;
};

/** What a client reads at the end in the place of an answer; nothing unless it was refused. */
export function textOfRefusal({ receipt }: AnswerEnd): string {
  return receipt.finish_reason === 'content_filter' ? refusalText(receipt.second_look?.because ?? null) : '';
}

export function finalExtension(
  known: EarlyExtension,
  { end, trace, tokens }: { end: AnswerEnd; trace: Trace; tokens: TokenTrace[] },
): SentExtension {
  const { receipt, receiptToken } = end;
  if (trace === 'none') return { policy: known.policy, receipt: receiptToken };
  const { line } = receipt;
  const summary: AnswerExtension = {
    ...known,
    second_look: receipt.second_look,
    floor: line.floor,
    budget: line.budget,
    rule: line.rule,
    mode: line.mode,
    weights: receipt.weights,
    spent: receipt.spent,
    receipt: receiptToken,
    backend: receipt.backend,
  };
  return trace === 'tokens' ? { ...summary, tokens } : summary;
}
