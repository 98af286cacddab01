/**
 * Tools on the wire between edge and backend. JSON of clients is a text here and not a value,
 * because the order of its keys is what the model reads: two orders are two requests, with other
 * digests and other draws.
 */
import * as z from 'zod';
import { wellFormed } from './well-formed.ts';

/** OpenAI allows as many. */
export const MAX_TOOLS = 128;
/** The most calls in one message. */
export const MAX_CALLS = 128;
/** Of the JSON of one tool's parameters, and of one call's arguments. */
export const MAX_TOOL_JSON_CHARS = 100_000;

/** A function that the model may call. */
export const Tool = z.strictObject({
  name: wellFormed.min(1),
  description: wellFormed.optional(),
  /** The JSON text of a schema, an object. */
  parameters: wellFormed.max(MAX_TOOL_JSON_CHARS).optional(),
});
export type Tool = z.infer<typeof Tool>;

/**
 * What ties a result to its call. The edge counts them anew in every conversation, because some
 * templates show them to the model: nine letters and digits, as Mistral's templates demand.
 */
export const CallId = z.string().regex(/^call\d{5}$/, 'expected "call" and five digits');

export const callId = (number: number): string => `call${String(number).padStart(5, '0')}`;

/** A call that the model has made. */
export const PastCall = z.strictObject({
  id: CallId,
  name: wellFormed.min(1),
  /** As the model wrote them: a JSON text, unless it made a mistake. */
  arguments: wellFormed.max(MAX_TOOL_JSON_CHARS),
});
export type PastCall = z.infer<typeof PastCall>;

/** A call in an answer. */
export const ToolCall = z.strictObject({
  id: z.string(),
  type: z.literal('function'),
  /** The arguments are JSON, unless the model made a mistake or the answer was cut off. */
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
});
export type ToolCall = z.infer<typeof ToolCall>;

/** A piece of a call: its beginning, or more of its arguments. */
export const ToolCallDelta = z.strictObject({
  index: z.int().min(0),
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.strictObject({ name: z.string().optional(), arguments: z.string() }),
});
export type ToolCallDelta = z.infer<typeof ToolCallDelta>;
