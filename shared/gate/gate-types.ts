/**
 * The plain data that goes into the gate and comes out. All of it survives JSON. So one backend can
 * finish an answer that another began, and a receipt can say what was done.
 */

import type { Rule } from '#shared/line/line.ts';
import type { DrawKey } from './draw-key.ts';

/** A tenant's line, compiled for one request. Weights are shares of the safety expert, 0..1. */
export type GatePolicy = {
  floor: number;
  ceiling: number;
  /**
   * A higher floor for the first tokens of an answer, which decide most of its safety (arXiv
   * 2406.05946).
   */
  opening: { tokens: number; floor: number };
  rule: Rule;
  /**
   * Nats by which a whole answer may be likelier than under the safety expert. null is no budget.
   */
  budget: number | null;
  /**
   * A budget that an answer earns as it grows. After t tokens, at most `start + rate * t` nats are
   * spent (and at most `budget`), so that an answer cannot spend everything on its first words.
   * `start` is in nats, `rate` in nats per token. null is no such bound.
   */
  earned: { start: number; rate: number } | null;
};

/**
 * What the caller asked for. `scale` and `bias` shape only the mixture: a client that bans the
 * words of refusal must not change what counts as safe. Everything else shapes the mixture and the
 * safety expert alike. The order is: masks, scale, bias, temperature, top-k, top-p, min-p.
 */
export type SamplingParams = {
  /** 0 is greedy. */
  temperature: number;
  /** 0..1. 1 keeps every token, 0 only the likeliest. */
  topP: number;
  /** Keeps only this many of the likeliest tokens; among equals, the lowest ids. 0 keeps all. */
  topK?: number;
  /** 0..1. Drops tokens less likely than this share of the likeliest token. 0 drops none. */
  minP?: number;
  /**
   * The key of the random numbers. Anyone who serves clients must make it from a secret; see
   * draw-key.ts.
   */
  key: DrawKey;
  /**
   * Token ids that neither the mixture nor the safety expert may draw: a model's special tokens,
   * tokens that a grammar forbids, an end token that may not come yet. An id beyond the vocabulary
   * is ignored.
   */
  mask?: ReadonlySet<number>;
  /**
   * The tokens that may be drawn, for both alike, as bits: token i is allowed if bit `i % 32` of
   * word `i / 32` is 1. This is the form for what a grammar allows, which changes with every token
   * and names most of the vocabulary. A token beyond the last word is not allowed. A token has to
   * pass `mask` and `allowed`.
   */
  allowed?: Uint32Array;
  /**
   * Factors above 0 for a token's log-probability in the mixture, before the bias: a repetition
   * penalty; see penalty-bias.ts.
   */
  scale?: ReadonlyMap<number, number>;
  /**
   * Nats added to a token's log-probability in the mixture, before the temperature; see
   * penalty-bias.ts. -Infinity bans the token as far as the budget allows. The safety expert draws
   * what the mixture cannot hold under the cap, and ignores the ban. A token that must never appear
   * belongs in the mask.
   */
  bias?: ReadonlyMap<number, number>;
};

/**
 * Where an answer stands: the tokens drawn so far, and the nats of the budget they took (negative:
 * in credit).
 */
export type GateState = { position: number; spent: number };

/** Asks a step for more numbers. */
export type Report = {
  /** How many of the likeliest tokens to report: `GateStep.top`. */
  topLogprobs: number;
  /** Whether to report what each expert itself thinks of them. */
  experts: boolean;
};

/** One of the likeliest tokens of a step. */
export type TopToken = {
  token: number;
  /** log q. Greedy decoding has no q, so there it is the mixture's log p, with its bias. */
  logprob: number;
  /** The raw safety expert's log-probability, as in `GateStep`. Only if asked for. */
  logprobSafety?: number;
  /** The same for the helpfulness expert. */
  logprobHelpful?: number;
};

/** One token and everything that explains it. Every number is finite. */
export type GateStep = {
  token: number;
  /**
   * The safety expert's share that was used. 1 if the gate closed. In the mode `layers`, the mean
   * of that expert's gate over the layers.
   */
  weight: number;
  /** The least share that was allowed at this position: the floor, raised during the opening. */
  floor: number;
  /**
   * The raw safety expert's log-probability of the token, at temperature 1. LOG_ZERO for a
   * probability of 0.
   */
  logprobSafety: number;
  /**
   * The same for the helpfulness expert. Also LOG_ZERO if that expert gave nothing usable or was
   * not asked (`layers`).
   */
  logprobHelpful: number;
  /**
   * log q(token), the probability it was drawn with. Greedy decoding draws nothing, so there it is
   * the mixture's log p, with its bias.
   */
  logprob: number;
  /** The nats the answer has spent up to and including this token. */
  spent: number;
  /** The state to hand to the next step. */
  state: GateState;
  /**
   * If asked for: the likeliest tokens of the distribution drawn from, likeliest first; among
   * equals, the lowest ids first. Tokens that cannot be drawn are left out.
   */
  top?: TopToken[];
};
