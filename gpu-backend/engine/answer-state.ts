import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import { type RunningWeights, SPENT_UNBOUNDED } from '#shared/gate/index.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import type { ResumeState } from '#shared/protocol/resume.ts';

/**
 * How far an answer has got. With the request's prompt, key and line, it is all that another engine
 * needs to continue at the next token as if nothing had happened. What the ids tell is not in it:
 * unfinished characters, and text that is held back for a stop string. It is plain data that
 * survives JSON.
 */
export type AnswerState = {
  /** The tokens drawn so far. Their count is the position of the next one. */
  ids: readonly number[];
  /** The budget spent so far, in nats. */
  spent: number;
  weights: RunningWeights;
  /** For how many of the tokens each source gave a prediction. */
  ran: Ran;
  /** What came of the second look at the prompt, which is not repeated. Left out if none was. */
  look?: LookReport;
};

/** The state that a directive has brought, once it is checked (`verifyResume`). */
export function stateOf({ state, ids }: { state: ResumeState; ids: readonly number[] }): AnswerState {
  const { position, spent, weights, ran, second_look: look } = state;
  return {
    ids,
    spent: spent ?? SPENT_UNBOUNDED,
    weights: { count: position, ...weights },
    ran,
    ...(look && { look }),
  };
}
