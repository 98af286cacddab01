/**
 * What the edge sends a backend, and what comes back: the body of `POST /v1/generate`, and the
 * frames of its answer, one JSON object per line (NDJSON). Floors and budget are not in the body.
 * They come only from the signed directive.
 */
import * as z from 'zod';
import { FinishReason, Usage } from '#shared/api/chat-answer.ts';
import { MAX_MESSAGES } from '#shared/api/chat-messages.ts';
import { ERROR_CODES, type ErrorCode } from '#shared/api/errors.ts';
import { LogitBias, MOST_CHOICES, MOST_TOP_LOGPROBS } from '#shared/api/generation-fields.ts';
import { LookReport, TokenTrace, WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING, Sampling } from '#shared/api/sampling.ts';
import { CallId, MAX_CALLS, MAX_TOOLS, PastCall, Tool } from '#shared/api/tool-calls.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { Grammar } from '#shared/grammar/grammar.ts';
import { Mark } from './frame-mac.ts';
import { Ran } from './ran.ts';

export const Message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: wellFormed,
  /** What an assistant called, beside what it said. */
  tool_calls: z.array(PastCall).min(1).max(MAX_CALLS).optional(),
  /** Of which call a tool's message is the result. */
  tool_call_id: CallId.optional(),
});
export type Message = z.infer<typeof Message>;

const INT64 = 2n ** 63n;

/**
 * Any 64-bit integer. One that is too large for a JavaScript number is given as decimal digits, and
 * only such a one: each seed has one form, so that it has one draw key.
 */
export const Seed = z.union([
  z.int(),
  z
    .string()
    .regex(/^-?[1-9]\d{15,18}$/, { abort: true })
    .refine((digits) => {
      const seed = BigInt(digits);
      return seed >= -INT64 && seed < INT64 && !Number.isSafeInteger(Number(digits));
    }, 'expected digits of a 64-bit integer that no JavaScript number holds'),
]);
export type Seed = z.infer<typeof Seed>;

const tokenId = z.int().min(0);
const nats = (most: number) => z.number().min(-most).max(most);
/** No vocabulary has more tokens. */
const MOST_ALLOWED = 300_000;

/** A prompt without turns: its text, or its tokens' ids. No template is put around it. */
export const RawPrompt = z.union([wellFormed, z.array(tokenId).min(1)]);
export type RawPrompt = z.infer<typeof RawPrompt>;

/**
 * What each parameter does to the mixture, to the safety expert that the budget measures against,
 * and so to the budget's promise: docs/sampling.md. A parameter with a default is neutral there.
 */
export const GenerateRequest = z
  .strictObject({
    model: wellFormed.min(1),
    /** Empty if there is a `prompt` in their place. */
    messages: z.array(Message).max(MAX_MESSAGES),
    /** What the model is told that it may call. */
    tools: z.array(Tool).max(MAX_TOOLS).default([]),
    /** null: the prompt is the messages. */
    prompt: RawPrompt.nullable().default(null),
    /** The most tokens to draw. null: as many as still fit in the context. */
    max_tokens: z.int().min(1).nullable(),
    /** The answer ends before the first of these texts. */
    stop: z.array(wellFormed.min(1)).max(4),
    /**
     * One of the inputs to the draw key (derive-draw-key.ts). The same request with the same seed
     * gives the same answer.
     */
    seed: Seed,
    temperature: Sampling.shape.temperature,
    top_p: Sampling.shape.top_p,
    top_k: Sampling.shape.top_k.default(PLAIN_SAMPLING.top_k),
    min_p: Sampling.shape.min_p.default(PLAIN_SAMPLING.min_p),
    /** Nats taken from each token that the answer contains. */
    presence_penalty: nats(2).default(0),
    /** Nats taken from a token for each time that the answer contains it. */
    frequency_penalty: nats(2).default(0),
    repetition_penalty: Sampling.shape.repetition_penalty.default(PLAIN_SAMPLING.repetition_penalty),
    /** Nats to add, by token id. */
    logit_bias: LogitBias.default({}),
    /** The only tokens that the answer may consist of, its end included. null: any. */
    allowed_token_ids: z.array(tokenId).min(1).max(MOST_ALLOWED).nullable().default(null),
    /** What the answer's text must look like, from its first token to its end. null: free text. */
    grammar: Grammar.nullable().default(null),
    /** Nothing ends an answer with fewer tokens, neither its experts nor a stop string. */
    min_tokens: z.int().min(0).default(0),
    /** Go on after the experts end the answer, up to `max_tokens`. */
    ignore_eos: z.boolean().default(false),
    /** How many answers to draw. Each has draws, a budget and a receipt of its own. */
    n: z.int().min(1).max(MOST_CHOICES).default(1),
    /** Each token frame has the token's bytes. */
    logprobs: z.boolean().default(false),
    /** How many of the likeliest tokens each token frame lists. Only with `logprobs`. */
    top_logprobs: z.int().min(0).max(MOST_TOP_LOGPROBS).default(0),
    /**
     * Say what each expert itself gives a token. If not, `lp_s` and `lp_h` of tokens are null. The
     * receipt's digest of the prompt covers this like every field that is sent.
     */
    expert_logprobs: z.boolean().default(false),
    /** Send the prompt's text first; with `logprobs`, its tokens' log-probabilities too. */
    echo: z.boolean().default(false),
  })
  .superRefine((request, { addIssue }) => {
    const { messages, prompt, min_tokens, max_tokens, logprobs, top_logprobs } = request;
    const refuse = (path: keyof GenerateRequest, message: string) =>
      addIssue({ code: 'custom', path: [path], message });
    if ((messages.length === 0) !== (prompt !== null)) refuse('messages', 'expected either messages or a prompt');
    if (max_tokens !== null && min_tokens > max_tokens) {
      refuse('min_tokens', `expected at most max_tokens (${max_tokens}), found ${min_tokens}`);
    }
    // Each alone can always go on to an end. Both together may lead to where nothing is left.
    if (request.grammar !== null && request.allowed_token_ids !== null) {
      refuse('allowed_token_ids', 'expected none beside a grammar');
    }
    if (top_logprobs > 0 && !logprobs) refuse('top_logprobs', `expected 0 without logprobs, found ${top_logprobs}`);
  });
/** A request with every default filled in. */
export type GenerateRequest = z.infer<typeof GenerateRequest>;
/** What the edge sends: neutral parameters may be left out. */
export type GenerateBody = z.input<typeof GenerateRequest>;

const errorCodes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];

/** The bytes of a token, which may be part of a UTF-8 character. null: it has no text. */
const TokenBytes = z.array(z.int().min(0).max(255)).nullable();

/** One of the likeliest tokens. null is a probability of 0, or an expert that was not asked. */
const TopToken = z.strictObject({
  id: tokenId,
  bytes: TokenBytes,
  /** Log-probability in the distribution drawn from; at temperature 0, in the mixture. */
  lp: z.number().nullable(),
  /** The experts' own, at temperature 1. */
  lp_s: z.number().nullable(),
  lp_h: z.number().nullable(),
});
export type TopToken = z.infer<typeof TopToken>;

/** A token of the prompt. Nothing predicts the first one, so its log-probabilities are null. */
const EchoToken = z.strictObject({ ...TopToken.shape, top: z.array(TopToken) });
export type EchoToken = z.infer<typeof EchoToken>;

/** Which of the request's answers a frame belongs to, from 0. Left out for the first. */
const choice = z.int().min(1).optional();

/** One drawn token. */
export const TokenFrame = z.object({
  type: z.literal('token'),
  choice,
  ...TokenTrace.shape,
  /** Only with `logprobs`. */
  bytes: TokenBytes.optional(),
  /** The likeliest tokens, likeliest first. Only with `logprobs`. */
  top: z.array(TopToken).optional(),
  /** The backend vouches for the answer up to this token. */
  mark: Mark.optional(),
});
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
  /**
   * Sent every few seconds while the prompt is read, so that nobody takes a long prompt for a
   * backend that hangs. It tells of work that was done: no run, no frame.
   */
  z.object({
    type: z.literal('reading'),
    /**
     * Tokens of its longest row: how many have been read, and how many there are to read. In the
     * mode `layers` with a second look, rows read one after the other, and count together.
     */
    read: z.int().min(0),
    of: z.int().min(1),
  }),
  /** The prompt's text, if the request wants it, before any token. It belongs to every answer. */
  z.object({
    type: z.literal('echo'),
    text: z.string(),
    /** Only with `logprobs`. */
    tokens: z.array(EchoToken).optional(),
  }),
  TokenFrame,
  /**
   * Text that was held back and turned out not to be a stop string. It is not part of any token
   * frame.
   */
  z.object({ type: z.literal('text'), choice, text: z.string() }),
  /** One answer has ended. If a request has several, each ends with a frame of its own. */
  z.object({
    type: z.literal('end'),
    choice,
    /** How many of the request's answers go on. Left out if this was the last. */
    remaining: z.int().min(1).optional(),
    finish_reason: FinishReason,
    /** The prompt's tokens and this answer's. */
    usage: Usage,
    /**
     * The prompt's tokens once, and those of all answers. Only on the last frame of a request for
     * several answers.
     */
    total: Usage.optional(),
    weights: WeightSummary,
    spent: z.number().nullable(),
    ran: Ran,
    /** null: only the edge looked at the prompt. */
    second_look: LookReport.nullable().default(null),
    /** Ed25519 JWS, see receipt.ts. */
    receipt: z.string(),
  }),
  /** The answer has broken off. Nothing follows. */
  z.object({ type: z.literal('error'), code: z.enum(errorCodes), message: z.string() }),
]);
export type Frame = z.infer<typeof Frame>;
export type EndFrame = Extract<Frame, { type: 'end' }>;
