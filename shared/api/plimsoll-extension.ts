/** What Plimsoll adds to OpenAI's shapes, all under the one key `plimsoll`. */
import * as z from 'zod';
import { JUDGEMENTS, SIGNALS } from '#shared/line/categories.ts';
import { Action, Budget, Mode, Opening, Rule, Share } from '#shared/line/line.ts';

/**
 * `none` keeps only the policy and the receipt, so that any answer can still be checked. `tokens`
 * adds the gate's numbers for every token.
 */
export const TRACES = ['none', 'summary', 'tokens'] as const;

/** How an answer stands to the cache; also the header `x-plimsoll-cache`. */
export const CACHE_STATES = ['hit', 'miss', 'coalesced', 'off'] as const;
export type CacheState = (typeof CACHE_STATES)[number];

/**
 * These fields are ours, so unknown ones are refused: a misspelt floor must not count as no floor.
 */
export const RequestExtension = z.strictObject({
  /** A request can raise its tenant's floor and lower its budget, never the reverse. */
  floor: z.number().min(0).max(1).nullish(),
  budget: z.number().min(0).nullish(),
  trace: z.enum(TRACES).nullish(),
  /**
   * How many of the likeliest tokens each traced token lists, with both experts' log-probabilities.
   * Only with the trace `tokens`.
   */
  top: z.int().min(0).max(20).nullish(),
  /** The default is `logits`. `layers` works only if the tenant's policy and the model allow it. */
  mode: Mode.nullish(),
});
export type RequestExtension = z.infer<typeof RequestExtension>;

export const CategoryProbability = z.strictObject({ name: z.enum(JUDGEMENTS), probability: z.number().min(0).max(1) });
export type CategoryProbability = z.infer<typeof CategoryProbability>;

/** What came of it. Receipts and answers have it. */
export const LookReport = z.strictObject({
  /** Of the probe. */
  version: z.string(),
  /** Every judgement, with the probability that was acted on. */
  categories: z.array(CategoryProbability).length(JUDGEMENTS.length),
  /** Whether the line is another one than the directive's. */
  tightened: z.boolean(),
  /** The signal whose rule refuses, or else tightens most; null if nothing was tightened. */
  because: z.enum(SIGNALS).nullable(),
});
export type LookReport = z.infer<typeof LookReport>;

/** What a rule in shadow would have done: it is counted and reported, and not applied. */
export const ShadowReport = z.strictObject({
  signal: z.enum(SIGNALS),
  /** Which of the two looks found the higher probability. That one counts. */
  look: z.enum(['edge', 'backend']),
  probability: z.number().min(0).max(1),
  /** Whether the line would have been another one. */
  tightens: z.boolean(),
  /** The bounds if this one rule applied beside those that do. */
  would: z.strictObject({ action: Action, floor: Share, ceiling: Share, opening: Opening, budget: Budget }),
});
export type ShadowReport = z.infer<typeof ShadowReport>;

/** One of the likeliest tokens of a step. null is a probability of 0. */
const TopTrace = z.strictObject({
  id: z.int(),
  /** In the distribution drawn from; at temperature 0, in the mixture. */
  lp: z.number().nullable(),
  lp_s: z.number().nullable(),
  lp_h: z.number().nullable(),
});

/**
 * One drawn token. Log-probabilities are in nats. JSON has no infinities, so the log-probability of
 * something impossible is null. So is an unbounded `spent`, which can happen only without a budget.
 */
export const TokenTrace = z.strictObject({
  id: z.int(),
  /**
   * The text this token completes. Empty while a UTF-8 character or a possible stop string is still
   * unfinished.
   */
  text: z.string(),
  weight: z.number(),
  floor: z.number(),
  lp_s: z.number().nullable(),
  lp_h: z.number().nullable(),
  lp: z.number().nullable(),
  spent: z.number().nullable(),
  /** The likeliest tokens, likeliest first. Left out unless a request asks for them. */
  top: z.array(TopTrace).optional(),
});
export type TokenTrace = z.infer<typeof TokenTrace>;

export const WeightSummary = z.object({ min: z.number(), mean: z.number(), max: z.number() });
export type WeightSummary = z.infer<typeof WeightSummary>;

/** Who gave the experts' rows to the edge, in order, and for how many of the answer's tokens. */
export const MixingReport = z.strictObject({
  /** k if rows had the k likeliest tokens; null if they were whole. */
  top_k: z.int().min(1).nullable(),
  safety: z.array(z.string()),
  helpfulness: z.array(z.string()),
  /**
   * From which token on the safety expert drew alone because no backend of the other one was left,
   * from 0. null: that did not happen.
   */
  alone_from: z.int().min(0).nullable(),
});
export type MixingReport = z.infer<typeof MixingReport>;

/** The whole extension of an answer. A stream has it on its last chunk. */
export const AnswerExtension = z.strictObject({
  /**
   * The version of the effective policy: the operator's, the tenant's and everything between them,
   * joined.
   */
  policy: z.strictObject({ tenant: z.string(), version: z.string() }),
  /** The version of the classifier that read the prompt. */
  classifier: z.string(),
  categories: z.array(CategoryProbability),
  /** 1 if part of the prompt lies beyond what the classifier reads, else 0. */
  unread: z.number().min(0).max(1),
  /** How likely it is that part of the prompt is in a language the classifier does not know. */
  uncertain: z.number().min(0).max(1),
  /**
   * What the backend's second look at the prompt has found, and whether it has tightened the line.
   * null: it has no probe, or the policy has no rules.
   */
  second_look: LookReport.nullable(),
  /** The policy's shadow rules that fired, by either look, and what each would have done. */
  shadow: z.array(ShadowReport),
  /** The bounds that were held, after the second look. */
  floor: z.number(),
  budget: z.number().nullable(),
  rule: Rule,
  mode: Mode,
  weights: WeightSummary,
  /**
   * Nats. Null if the policy sets no budget and the safety expert gave the answer no probability.
   */
  spent: z.number().nullable(),
  /** Ed25519 JWS. Check it with `GET /.well-known/jwks.json`. */
  receipt: z.string(),
  /**
   * The text as it was drawn, which the receipt has the digest of. Only of an answer with tool
   * calls, which were read in it.
   */
  drawn_text: z.string().optional(),
  backend: z.string(),
  /** Only in the mode `edge`. */
  mixing: MixingReport.optional(),
  cache: z.strictObject({
    /** Whether the edge had this decision about the prompt already. */
    route: z.enum(['hit', 'miss']),
    /**
     * `hit`: this answer had been kept. `coalesced`: it was being made for an equal request.
     * `miss`: it was made for this one. `off`: it was neither looked for nor kept.
     */
    answer: z.enum(CACHE_STATES),
    /** The edge's own receipt, if the answer was made for another request. It names that one. */
    receipt: z.string().optional(),
  }),
});
export type AnswerExtension = z.infer<typeof AnswerExtension>;

/** The extension as sent: trace `none` cuts it down, trace `tokens` adds the tokens. */
export const SentExtension = AnswerExtension.partial().extend({ tokens: z.array(TokenTrace).optional() });
export type SentExtension = z.infer<typeof SentExtension>;
