import type { RunningWeights } from '#shared/gate/index.ts';
import type { StopState } from '#shared/text/stop-matcher.ts';
import type { TextState } from '#shared/text/text-stream.ts';

/**
 * Where an answer stands. Together with the request's prompt, key and line, it is all that another
 * engine needs to go on at the next token as if nothing had happened. Plain data that survives
 * JSON.
 */
export type AnswerState = {
  /** The tokens drawn so far. Their number is the position of the next one. */
  ids: readonly number[];
  /** Nats. */
  spent: number;
  weights: RunningWeights;
  text: TextState;
  stops: StopState;
};
