/**
 * `POST /v1/score` of a backend: what the bundle's reward and cost heads make of an answer to a
 * prompt. Like everything that costs work there, it needs an order of the edge (body-order.ts),
 * under a key of its own.
 */
import * as z from 'zod';
import { MAX_MESSAGES } from '#shared/api/chat-messages.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { type BodyOrder, signBodyOrder, verifyBodyOrder } from './body-order.ts';
import { derivedKey } from './derived-key.ts';
import { Message } from './generate.ts';

export const SCORE_PATH = '/v1/score';

/** The heads: how helpful an answer is, and how harmful. A cost below 0 means safe. */
export const SCORE_KINDS = ['reward', 'cost'] as const;
export type ScoreKind = (typeof SCORE_KINDS)[number];

export const ScoreRequest = z.strictObject({
  model: wellFormed.min(1),
  messages: z.array(Message).min(1).max(MAX_MESSAGES),
  answer: wellFormed,
});
export type ScoreRequest = z.infer<typeof ScoreRequest>;

export const ScoreAnswer = z.object({
  model: z.string(),
  /** Which weights have judged: SHA-256 over the bundle's files. */
  bundle: z.string(),
  reward: z.number(),
  cost: z.number(),
  /** Tokens of the prompt and the answer, which each head reads once. */
  tokens: z.int().min(0),
});
export type ScoreAnswer = z.infer<typeof ScoreAnswer>;

const KIND = { typ: 'plimsoll-score+jwt', what: 'score' };

export const scoreKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-score/1', directiveKey);

export const signScoreOrder = (order: BodyOrder, key: Uint8Array, now?: Date): Promise<string> =>
  signBodyOrder(order, { ...KIND, key, now });

/** As `verifyBodyOrder`. */
export const verifyScoreOrder = (
  token: string,
  about: { keys: readonly Uint8Array[]; body: Uint8Array; now?: Date },
): Promise<BodyOrder> => verifyBodyOrder(token, { ...KIND, ...about });
