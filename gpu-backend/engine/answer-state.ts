import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { RunningWeights } from '#shared/gate/index.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import type { StopState } from '#shared/text/stop-matcher.ts';
import type { TextState } from '#shared/text/text-stream.ts';

/**
 * How far an answer has got. With the request's prompt, key and line, it is all that another engine
 * needs to continue at the next token as if nothing had happened. It is plain data that survives
 * JSON.
 */
export type AnswerState = {
  /** The tokens drawn so far. Their count is the position of the next one. */
  ids: readonly number[];
  /** The budget spent so far, in nats. */
  spent: number;
  weights: RunningWeights;
  /** For how many of the tokens each source gave a prediction. */
  ran: Ran;
  text: TextState;
  stops: StopState;
  /** What came of the second look at the prompt, which is not repeated. Left out if none was. */
  look?: LookReport;
};
