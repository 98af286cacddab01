/**
 * What the edge sends a backend and what comes back: the body of `POST /v1/generate`, and the frames of its answer,
 * one JSON object a line (NDJSON). The floors and budget are not in the body: they come only from the signed directive.
 */
import * as z from 'zod';
import { ERROR_CODES, type ErrorCode } from '#shared/api/errors.ts';

export const Message = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});
export type Message = z.infer<typeof Message>;

export const GenerateRequest = z.strictObject({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  /** Tokens to draw at most; null: as many as the context still holds. */
  max_tokens: z.int().min(1).nullable(),
  stop: z.array(z.string().min(1)).max(4),
  /** One of what the draws are keyed by (derive-draw-key.ts): the same request with the same seed gives the same answer. */
  seed: z.int(),
  temperature: z.number().min(0).max(2),
  top_p: z.number().gt(0).max(1),
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

const errorCodes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];

/**
 * One drawn token. Log-probabilities are in nats. JSON has no infinities, so a log-probability of zero probability is
 * null, and so is a spent budget that has no bound (only possible where the policy sets none).
 */
export const TokenFrame = z.object({
  type: z.literal('token'),
  id: z.int(),
  /** The text this token completes: empty while a UTF-8 character or a possible stop string is still open. */
  text: z.string(),
  weight: z.number(),
  floor: z.number(),
  lp_s: z.number().nullable(),
  lp_h: z.number().nullable(),
  lp: z.number().nullable(),
  spent: z.number().nullable(),
});
export type TokenFrame = z.infer<typeof TokenFrame>;

export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
});
export type Usage = z.infer<typeof Usage>;

export const WeightSummary = z.object({ min: z.number(), mean: z.number(), max: z.number() });
export type WeightSummary = z.infer<typeof WeightSummary>;

export const Frame = z.discriminatedUnion('type', [
  /** Before `start`, and again while it lasts: the request was accepted and waits, behind so many others. */
  z.object({ type: z.literal('waiting'), ahead: z.int().min(0) }),
  /** Before any token: the request was accepted and its prompt measured. */
  z.object({
    type: z.literal('start'),
    id: z.string(),
    model: z.string(),
    backend: z.string(),
    /** Which secret the draws hang on, by its id: with another one, the same request gives another answer. */
    draws: z.string(),
    prompt_tokens: z.int(),
  }),
  TokenFrame,
  /** Text that was held back and turned out not to be a stop string; belongs to no further token. */
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({
    type: z.literal('end'),
    finish_reason: z.enum(['stop', 'length']),
    usage: Usage,
    weights: WeightSummary,
    spent: z.number().nullable(),
    /** Ed25519 JWS, see receipt.ts. */
    receipt: z.string(),
  }),
  /** A broken answer says so; nothing follows it. */
  z.object({ type: z.literal('error'), code: z.enum(errorCodes), message: z.string() }),
]);
export type Frame = z.infer<typeof Frame>;
export type EndFrame = Extract<Frame, { type: 'end' }>;
