/**
 * The engine as its callers see it: prompts in as token ids, gated tokens out as events. Where it
 * runs (a worker thread, this thread) and what computes the logits (onnxruntime, a table) does not
 * show.
 */
import type { DrawKey } from '#shared/gate/index.ts';
import type { Line, Mode } from '#shared/line/line.ts';
import type { EndFrame, Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { AnswerState } from './answer-state.ts';
import type { Source } from './experts.ts';

export type EngineRequest = {
  /**
   * Whose it is: where requests have to wait, tenants get equal shares. Those that are nobody's
   * count as one tenant's.
   */
  tenant?: string;
  promptIds: number[];
  /**
   * Tokens to draw at most; null: as many as the context still holds. It never reaches past the
   * context either way.
   */
  maxTokens: number | null;
  stop: string[];
  /**
   * `key`: derived from a secret where clients are served (shared/protocol/derive-draw-key.ts),
   * from a seed in studies.
   */
  sampling: { key: DrawKey; temperature: number; topP: number };
  /** The gate's settings, from the signed directive. */
  line: Line;
  /**
   * An answer begun elsewhere, to go on with: the same request, and where it stands. `maxTokens`
   * and `usage` count all of it.
   */
  resume?: AnswerState;
};

/**
 * `waiting` at once where others are under way, and every few seconds for as long as the request
 * waits; then `start`, when it has joined the batch; last `end`. An answer that breaks off throws
 * instead.
 */
export type EngineEvent =
  | Extract<Frame, { type: 'waiting' }>
  | { type: 'start'; prompt_tokens: number }
  | TokenFrame
  | Extract<Frame, { type: 'text' }>
  | Omit<EndFrame, 'receipt'>;

export type EngineInfo = {
  /** The model id that clients name. */
  model: string;
  /** Tokens of prompt and answer together, and of what an expert has of its own before them. */
  contextLength: number;
  /** How many tokens that is, by source. */
  prefixes: Readonly<Record<Source, number>>;
  /** UTF-8 bytes of the longest token: a text of n bytes has at least n / maxTokenBytes tokens. */
  maxTokenBytes: number;
  /** SHA-256 of the bundle. */
  digest: string;
  /** What a line may ask for: `layers` only of a bundle with a layers router. */
  modes: readonly Mode[];
  /**
   * k where the experts' rows are truncated to the k likeliest tokens, null where they are whole.
   * Receipts say it.
   */
  topK: number | null;
};

export type EngineStats = {
  /** Requests in the batch, and requests waiting to join it. */
  running: number;
  waiting: number;
  /** Sequences open: two for each running request, one where the safety expert answers alone. */
  rows: number;
};

export interface Engine {
  readonly info: EngineInfo;
  /** False once the engine has stopped, by `close` or by a failure; it does not come back. */
  readonly alive: boolean;
  /** Settles when the engine is gone, for whatever reason. */
  readonly closed: Promise<void>;
  stats(): EngineStats;
  /**
   * The events of one answer. Throws a PlimsollError: `context_length_exceeded`, `overloaded` and,
   * for a mode that is not offered or an answer that has no token left, `invalid_request` instead
   * of the first event; `expert_failed` or `backend_unavailable` at any time. Leaving the loop, or
   * aborting, frees the rows at the next step.
   */
  generate(request: EngineRequest, options?: { signal?: AbortSignal }): AsyncGenerator<EngineEvent, void, void>;
  /** Ends what is running with `backend_unavailable` and gives everything back. */
  close(): Promise<void>;
}

export type EngineLimits = {
  /** Rows in one batch; a request takes two, or one where the safety expert answers alone. */
  maxRows: number;
  /**
   * Requests that may wait for a place before new ones are turned away. A tenant that has less than
   * its share of them may still come, until they are twice as many.
   */
  maxWaiting: number;
  /**
   * Prompt tokens, padding included, that one prefill run may hold: it bounds how long running
   * answers wait for it.
   */
  maxPrefillTokens: number;
};

export const DEFAULT_LIMITS: EngineLimits = { maxRows: 32, maxWaiting: 64, maxPrefillTokens: 4096 };
