/**
 * `POST /v1/score` of a backend: what the bundle's reward and cost heads make of an answer to a
 * prompt. Like everything that costs work there, it needs an order of the edge (signed-order.ts),
 * under a key of its own and bound to the body by its SHA-256.
 */
import * as z from 'zod';
import { MAX_MESSAGES } from '#shared/api/chat-messages.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { derivedKey } from './derived-key.ts';
import { Message } from './generate.ts';
import { sha256Hex } from './sha256.ts';
import { Sha256 } from './sha256-schema.ts';
import { signOrder, verifyOrder } from './signed-order.ts';

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

const TYP = 'plimsoll-score+jwt';

export const ScoreOrder = z.object({
  /** Each order is taken once. */
  id: z.uuid(),
  request: z.string().min(1),
  tenant: z.string().min(1),
  /** SHA-256 of the body. */
  digest: Sha256,
});
export type ScoreOrder = z.infer<typeof ScoreOrder>;

export const scoreKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-score/1', directiveKey);

export const signScoreOrder = (order: ScoreOrder, key: Uint8Array, now?: Date): Promise<string> =>
  signOrder(order, { typ: TYP, key, ...(now && { now }) });

/**
 * Throws `directive_invalid` unless this is a fresh order for this very body, signed with one of
 * the keys.
 */
export async function verifyScoreOrder(
  token: string,
  { body, ...rest }: { keys: readonly Uint8Array[]; body: Uint8Array; now?: Date },
): Promise<ScoreOrder> {
  const order = await verifyOrder(token, { typ: TYP, what: 'score', schema: ScoreOrder, ...rest });
  if (order.digest !== (await sha256Hex(body))) {
    throw new PlimsollError('directive_invalid', 'The order to score belongs to another request.');
  }
  return order;
}
