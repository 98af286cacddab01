/** A chat answer sent whole. */
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import { type PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import type { ToolCallDelta } from '#shared/api/tool-calls.ts';
import type { EchoedPrompt, TokenLogprob } from '#shared/protocol/token-logprob.ts';
import {
  type BegunAnswer,
  type EndedChoice,
  endedChoices,
  finalExtension,
  textOfRefusal,
  tracedTokens,
} from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import { chatLogprobs } from './chat-logprobs.ts';
import type { AnswerEnd, AnswerEvents } from './read-answer.ts';
import { chatFinishReason, wholeCalls } from './read-tool-calls.ts';
import type { Wishes } from './wishes.ts';

export async function wholeAnswer(begun: Promise<BegunAnswer>, wishes: Wishes): Promise<ChatCompletion> {
  const { trace, logprobs, top } = wishes;
  const answer = await begun;
  const { id, ...shared } = answer.head;
  const { said, end } = await gather(answer.events);
  const choiceOf = ({ end, extension, decided }: EndedChoice, index: number) => {
    const { text, tokens, logprobs: likely, calls } = said(index);
    const content = text + textOfRefusal(end, decided);
    const isSilent = content === '' && calls.length > 0;
    const plimsoll = finalExtension(extension, { end, decided, trace, tokens: tracedTokens(tokens, { top }) });
    return {
      choice: {
        index,
        message: {
          role: 'assistant' as const,
          content: isSilent ? null : content,
          refusal: null,
          ...(calls.length > 0 && { tool_calls: wholeCalls(calls) }),
        },
        logprobs: logprobs === null ? null : chatLogprobs(likely, { top: logprobs }),
        finish_reason: chatFinishReason(end),
        ...(index > 0 && { plimsoll }),
      },
      plimsoll,
    };
  };
  // The cast: there is an end, so there is a first choice.
  const [first, ...others] = endedChoices(answer, end).map(choiceOf) as NonEmpty<ReturnType<typeof choiceOf>>;
  return {
    id,
    object: 'chat.completion',
    ...shared,
    choices: [first.choice, ...others.map(({ choice }) => choice)],
    usage: usageOf(end),
    plimsoll: first.plimsoll,
  };
}

type NonEmpty<T> = [T, ...T[]];

/** What one answer has said. */
type Said = { text: string; tokens: TokenTrace[]; logprobs: TokenLogprob[]; calls: ToolCallDelta[] };

/** Reads all events to their end. */
export async function gather(
  events: AnswerEvents,
): Promise<{ said: (choice: number) => Said; echoes: Map<number, EchoedPrompt>; end: AnswerEnd }> {
  const all = new Map<number, Said>();
  const echoes = new Map<number, EchoedPrompt>();
  const said = (choice: number) => {
    const known = all.get(choice) ?? { text: '', tokens: [], logprobs: [], calls: [] };
    all.set(choice, known);
    return known;
  };
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    const { choice = 0, text, tokens, logprobs = [], calls = [], echo } = next.value;
    const own = said(choice);
    own.text += text;
    own.tokens.push(...tokens);
    own.logprobs.push(...logprobs);
    own.calls.push(...calls);
    if (echo !== undefined) echoes.set(choice, echo);
  }
  return { said, echoes, end: next.value };
}

/**
 * The same answer as text, for when the status has already been sent. If the answer fails, the
 * error is written in its place.
 */
export async function* wholeAnswerText(
  answer: Promise<object>,
  { onError }: { onError: (error: PlimsollError) => void },
): AsyncGenerator<string, void, void> {
  try {
    // We write at once, so that we notice as soon as possible if the client leaves.
    yield ' ';
    yield JSON.stringify(await answer);
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    onError(error);
    yield JSON.stringify(error.toBody());
  }
}
