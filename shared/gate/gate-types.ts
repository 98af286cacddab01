/**
 * The plain data that goes into the gate and comes out of it. All of it survives JSON, so that an answer begun on one
 * backend can be finished on another, and so that a receipt can say what was done.
 */

import type { Rule } from '#shared/line/line.ts';
import type { DrawKey } from './draw-key.ts';

/** A tenant's line, compiled for one request. Weights are shares of the safety expert, 0..1. */
export type GatePolicy = {
  floor: number;
  ceiling: number;
  /** A higher floor for the first tokens of an answer, which decide most of its safety (arXiv 2406.05946). */
  opening: { tokens: number; floor: number };
  rule: Rule;
  /** Nats by which a whole answer may be likelier than the safety expert finds it; null is no budget. */
  budget: number | null;
  /**
   * A budget that an answer earns as it grows: after t tokens at most `start + rate * t` nats are
   * spent (and at most `budget`), so that what an answer may deviate does not all fall on its first
   * words. Nats, and nats a token; null is no such bound.
   */
  earned: { start: number; rate: number } | null;
};

/**
 * What the caller asked for. All of it but `bias` shapes the mixture and the safety expert alike.
 * The bias shapes the mixture alone: a client that bans the words of refusal must not thereby
 * change what counts as safe.
 */
export type SamplingParams = {
  /** 0 is greedy. */
  temperature: number;
  /** 0..1; 1 keeps every token, 0 the likeliest alone. */
  topP: number;
  /** What the draws hang on; made of a secret wherever clients are served. See draw-key.ts. */
  key: DrawKey;
  /**
   * Token ids that neither the mixture nor the safety expert may draw: a model's special tokens,
   * what a grammar does not allow, an end that may not come yet. An id beyond the vocabulary names
   * nothing.
   */
  mask?: ReadonlySet<number>;
  /**
   * Nats added to a token's log-probability in the mixture, before the temperature; see
   * penalty-bias.ts. -Infinity bans the token as far as the budget allows: what the mixture cannot
   * hold under the cap, the safety expert draws, and the ban is nothing to it. A token that must
   * never come belongs in the mask.
   */
  bias?: ReadonlyMap<number, number>;
};

/** Where an answer stands: tokens drawn so far, and nats of the budget they took (negative: in credit). */
export type GateState = { position: number; spent: number };

/** One token, and everything needed to explain it. Every number is finite. */
export type GateStep = {
  token: number;
  /**
   * The share of the safety expert that was used; 1 wherever the gate closed. In the mode `layers` it is the mean over the
   * layers of that expert's gate.
   */
  weight: number;
  /** The least share that was allowed at this position: the floor, raised inside the opening. */
  floor: number;
  /** The raw safety expert's log-probability of the token, at temperature 1; LOG_ZERO for a probability of 0. */
  logprobSafety: number;
  /** The same of the helpfulness expert; LOG_ZERO also where that expert had nothing usable to say, or was not asked (`layers`). */
  logprobHelpful: number;
  /** log q(token), what it was drawn from. Greedy draws nothing: there it is log p, the mixture's (with its bias). */
  logprob: number;
  /** Nats spent by the answer up to and including this token. */
  spent: number;
  /** Hand this to the next step. */
  state: GateState;
};
