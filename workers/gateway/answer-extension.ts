/**
 * What we know about an answer as it begins, and its `plimsoll` part in the three sizes that a
 * request may ask for.
 */

import { refusalWords } from '#policies/compile.ts';
import type { Policy } from '#policies/schema.ts';
import { shadowReports } from '#policies/shadow.ts';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type {
  AnswerExtension,
  MixingReport,
  RequestExtension,
  SentExtension,
  ShadowReport,
  TokenTrace,
} from '#shared/api/plimsoll-extension.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import type { Mixed, Receipt } from '#shared/protocol/receipt.ts';
import { needsHelpful } from './mix-answer.ts';
import type { AnswerEnd, AnswerEvents, ChoiceEnd } from './read-answer.ts';
import { refusalText } from './refusal-text.ts';

export type Trace = NonNullable<RequestExtension['trace']>;

/** The part of the extension that is known before the answer begins. */
type EarlyExtension = Pick<AnswerExtension, 'policy' | 'classifier' | 'categories' | 'unread' | 'uncertain' | 'cache'>;

/** The fields that a whole answer and every chunk of a stream share. */
type CompletionHead = Pick<ChatCompletion, 'id' | 'created' | 'model' | 'system_fingerprint'>;

export type BegunAnswer = AboutAnswer & {
  events: AnswerEvents;
  head: CompletionHead;
  /** The same about one of several answers, where they are to several prompts. */
  aboutOf?: (choice: number) => AboutAnswer;
};

/** What is known of an answer before it begins. */
type AboutAnswer = { extension: EarlyExtension; decided: Decided };

/** By which policy the answer was decided, and what the edge's classifier had found. */
export type Decided = { policy: Policy; signals: SignalValues };

/** What a client reads at the end in the place of an answer; nothing unless it was refused. */
export function textOfRefusal({ receipt }: Pick<ChoiceEnd, 'receipt'>, { policy }: Pick<Decided, 'policy'>): string {
  if (receipt.finish_reason !== 'content_filter') return '';
  const because = receipt.second_look?.because ?? null;
  return refusalText(because, refusalWords(policy, because));
}

/** What the policy's shadow rules would have done, by what both looks have found. */
export function shadowOf({ policy, signals }: Decided, { second_look }: Pick<Receipt, 'second_look'>): ShadowReport[] {
  return shadowReports(policy, { edge: signals, backend: second_look?.categories ?? null });
}

/** One of a request's answers, once it has ended. */
export type EndedChoice = AboutAnswer & { end: ChoiceEnd };

/** All of them, in their order. */
export function endedChoices(answer: BegunAnswer, { more = [], ...first }: AnswerEnd): EndedChoice[] {
  const aboutOf = answer.aboutOf ?? (() => answer);
  return [first, ...more].map((end, choice) => {
    const { extension, decided } = aboutOf(choice);
    return { extension, decided, end };
  });
}

/** A trace's tokens as they are sent: rivals of each only if the trace asks for them. */
export function tracedTokens(tokens: readonly TokenTrace[], { top }: { top: number }): TokenTrace[] {
  return tokens.map(({ top: rivals, ...token }) => ({
    ...token,
    ...(top > 0 && rivals && { top: rivals.slice(0, top) }),
  }));
}

export function finalExtension(
  known: EarlyExtension,
  { end, decided, trace, tokens }: { end: ChoiceEnd; decided: Decided; trace: Trace; tokens: TokenTrace[] },
): SentExtension {
  const { receipt, receiptToken, edgeReceipt, called } = end;
  const text = called === undefined || called.calls === 0 ? {} : { drawn_text: called.text };
  const cache = { ...known.cache, ...(edgeReceipt !== undefined && { receipt: edgeReceipt }) };
  if (trace === 'none') {
    return { policy: known.policy, receipt: receiptToken, ...text, ...(edgeReceipt !== undefined && { cache }) };
  }
  const { line } = receipt;
  const summary: AnswerExtension = {
    ...known,
    cache,
    second_look: receipt.second_look,
    shadow: shadowOf(decided, receipt),
    floor: line.floor,
    budget: line.budget,
    rule: line.rule,
    mode: line.mode,
    weights: receipt.weights,
    spent: receipt.spent,
    receipt: receiptToken,
    ...text,
    backend: receipt.backend,
    ...(receipt.mixed && { mixing: mixingReport(receipt, receipt.mixed) }),
  };
  return trace === 'tokens' ? { ...summary, tokens } : summary;
}

function mixingReport({ line, usage, top_k }: Receipt, { safety, helpfulness }: Mixed): MixingReport {
  const beside = helpfulness.at(-1)?.to ?? 0;
  const isAlone = needsHelpful(line) && beside < usage.completion_tokens;
  const names = (parts: Mixed['safety']) => parts.map(({ backend }) => backend);
  return { top_k, safety: names(safety), helpfulness: names(helpfulness), alone_from: isAlone ? beside : null };
}
