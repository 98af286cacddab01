/**
 * What the edge sends a backend, and what comes back: the body of `POST /v1/generate`, and the
 * frames of its answer, one JSON object per line (NDJSON). Floors and budget are not in the body.
 * They come only from the signed directive.
 */
import * as z from 'zod';
import { FinishReason, Usage } from '#shared/api/chat-answer.ts';
import { ERROR_CODES, type ErrorCode } from '#shared/api/errors.ts';
import { TokenTrace, WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { Ran } from './ran.ts';

export const Message = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: wellFormed,
});
export type Message = z.infer<typeof Message>;

/**
 * Exactly as the client gave it. A seed that is too large for a JavaScript number is given as
 * decimal digits.
 */
export const Seed = z.union([z.int(), z.string().regex(/^-?[1-9]\d{15,18}$/)]);
export type Seed = z.infer<typeof Seed>;

export const GenerateRequest = z.strictObject({
  model: wellFormed.min(1),
  messages: z.array(Message).min(1),
  /** The most tokens to draw. null: as many as still fit in the context. */
  max_tokens: z.int().min(1).nullable(),
  stop: z.array(wellFormed.min(1)).max(4),
  /**
   * One of the inputs to the draw key (derive-draw-key.ts). The same request with the same seed
   * gives the same answer.
   */
  seed: Seed,
  temperature: z.number().min(0).max(2),
  top_p: z.number().gt(0).max(1),
});
export type GenerateRequest = z.infer<typeof GenerateRequest>;

const errorCodes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];

/** One drawn token. */
export const TokenFrame = z.object({ type: z.literal('token'), ...TokenTrace.shape });
export type TokenFrame = z.infer<typeof TokenFrame>;

export const Frame = z.discriminatedUnion('type', [
  /**
   * The request was accepted and is waiting behind `ahead` others. Sent before `start`, and
   * repeated as long as the wait lasts.
   */
  z.object({ type: z.literal('waiting'), ahead: z.int().min(0) }),
  /** Sent before any token: the request was accepted and its prompt was measured. */
  z.object({
    type: z.literal('start'),
    id: z.string(),
    model: z.string(),
    backend: z.string(),
    /** Which weights answer: SHA-256 over the bundle's files. */
    bundle: z.string(),
    /**
     * The id of the secret behind the draws. With another secret, the same request gives another
     * answer.
     */
    draws: z.string(),
    prompt_tokens: z.int(),
  }),
  TokenFrame,
  /**
   * Text that was held back and turned out not to be a stop string. It is not part of any token
   * frame.
   */
  z.object({ type: z.literal('text'), text: z.string() }),
  z.object({
    type: z.literal('end'),
    finish_reason: FinishReason,
    usage: Usage,
    weights: WeightSummary,
    spent: z.number().nullable(),
    ran: Ran,
    /** Ed25519 JWS, see receipt.ts. */
    receipt: z.string(),
  }),
  /** The answer has broken off. Nothing follows. */
  z.object({ type: z.literal('error'), code: z.enum(errorCodes), message: z.string() }),
]);
export type Frame = z.infer<typeof Frame>;
export type EndFrame = Extract<Frame, { type: 'end' }>;
