/** The events of one answer: what is told of a token, and of the end. */
import { toLogprob, toNats } from '#shared/answer/token-numbers.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import type { FinishReason } from '#shared/api/chat-answer.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { GateState, GateStep, RunningWeights } from '#shared/gate/index.ts';
import type { Line } from '#shared/line/line.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import { bytesOrNull, toTopTokens } from './report-tokens.ts';

/** @param look what the second look has found; null if it is not told with this token */
export function tokenEvent(
  step: GateStep,
  {
    request: { topLogprobs, expertLogprobs = true },
    choice,
    vocabulary,
    text,
    ran,
    look,
  }: {
    request: Pick<EngineRequest, 'topLogprobs' | 'expertLogprobs'>;
    choice: number;
    vocabulary: Vocabulary;
    text: string;
    ran: Ran;
    look: LookReport | null;
  },
): EngineEvent {
  return {
    type: 'token',
    ...whose(choice),
    id: step.token,
    text,
    weight: step.weight,
    floor: step.floor,
    lp_s: expertLogprobs ? toLogprob(step.logprobSafety) : null,
    lp_h: expertLogprobs ? toLogprob(step.logprobHelpful) : null,
    lp: toLogprob(step.logprob),
    spent: toNats(step.spent),
    ...(topLogprobs !== undefined && {
      bytes: bytesOrNull(step.token, vocabulary),
      top: toTopTokens(step.top, vocabulary),
    }),
    ran: { ...ran },
    ...(look && { second_look: look }),
  };
}

/**
 * @param held text that was held back until the end
 * @param prompt how many tokens the client's prompt has
 */
export function endEvents(
  finishReason: FinishReason,
  {
    choice,
    held,
    prompt,
    cachedTokens,
    state,
    weights: { min, mean, max },
    ran,
    look,
    line,
  }: {
    choice: number;
    held: string;
    prompt: number;
    cachedTokens: number;
    state: GateState;
    weights: RunningWeights;
    ran: Ran;
    look: LookReport | null;
    line: Line;
  },
): EngineEvent[] {
  const drawn = state.position;
  return [
    ...(held === '' ? [] : [{ type: 'text' as const, ...whose(choice), text: held }]),
    {
      type: 'end',
      ...whose(choice),
      finish_reason: finishReason,
      usage: {
        prompt_tokens: prompt,
        completion_tokens: drawn,
        total_tokens: prompt + drawn,
        prompt_tokens_details: { cached_tokens: cachedTokens },
      },
      weights: { min, mean, max },
      spent: toNats(state.spent),
      ran: { ...ran },
      second_look: look,
      line,
    },
  ];
}

/** The events of a request's first answer do not say whose they are. */
function whose(choice: number): { choice?: number } {
  return choice === 0 ? {} : { choice };
}
