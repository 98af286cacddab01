/** Completions of plain prompts, sent whole. */
import type { Completion } from '#shared/api/completion-answer.ts';
import {
  type BegunAnswer,
  type EndedChoice,
  endedChoices,
  finalExtension,
  textOfRefusal,
  tracedTokens,
} from './answer-extension.ts';
import { usageOf } from './answer-usage.ts';
import { completionLogprobs, joinLogprobs } from './completion-logprobs.ts';
import { gather } from './whole-answer.ts';
import type { Wishes } from './wishes.ts';

export async function wholeCompletion(begun: Promise<BegunAnswer>, wishes: Wishes): Promise<Completion> {
  const { trace, logprobs, top, choices: perPrompt } = wishes;
  const answer = await begun;
  const { said, echoes, end } = await gather(answer.events);
  const choiceOf = ({ end, extension, decided }: EndedChoice, index: number) => {
    const own = said(index);
    const echo = echoes.get(index - (index % perPrompt));
    const lists = completionLogprobs({ top: logprobs ?? 0 });
    const listed = () => joinLogprobs([...(echo ? [lists.echo(echo)] : []), lists.tokens(own.logprobs)]);
    const plimsoll = finalExtension(extension, {
      ...{ end, decided, trace },
      tokens: tracedTokens(own.tokens, { top }),
    });
    return {
      choice: {
        index,
        text: (echo?.text ?? '') + own.text + textOfRefusal(end, decided),
        logprobs: logprobs === null ? null : listed(),
        finish_reason: end.receipt.finish_reason,
        ...(index > 0 && { plimsoll }),
      },
      plimsoll,
    };
  };
  // The cast: there is an end, so there is a first choice.
  const [first, ...others] = endedChoices(answer, end).map(choiceOf) as NonEmpty<ReturnType<typeof choiceOf>>;
  return {
    ...completionHead(answer),
    choices: [first.choice, ...others.map(({ choice }) => choice)],
    usage: usageOf(end, { perPrompt }),
    plimsoll: first.plimsoll,
  };
}

type NonEmpty<T> = [T, ...T[]];

export function completionHead({ head: { id, ...shared } }: BegunAnswer) {
  return { id: id.replace(/^chatcmpl-/, 'cmpl-'), object: 'text_completion' as const, ...shared };
}
