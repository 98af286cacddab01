/** What a client wants to be told, and in which form. */
import type { Trace } from './answer-extension.ts';

export type Wishes = {
  trace: Trace;
  /** How many rivals each token of a trace lists. */
  top: number;
  /** How many of the likeliest tokens are listed beside each; null: no log-probabilities at all. */
  logprobs: number | null;
  /** How many answers each prompt has. */
  choices: number;
};
