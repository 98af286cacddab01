/**
 * The engine as its callers see it: prompts go in as token ids, gated tokens come out as events.
 * Callers cannot tell where it runs (a worker thread, this thread) or what computes the logits
 * (onnxruntime, a table).
 */
import type { DrawKey } from '#shared/gate/index.ts';
import type { Line, Mode } from '#shared/line/line.ts';
import type { EndFrame, Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { AnswerState } from './answer-state.ts';
import type { Source } from './experts.ts';

export type EngineRequest = {
  /**
   * The tenant whose request it is. Where requests have to wait, tenants get equal shares. Requests
   * without a tenant count as one tenant's.
   */
  tenant?: string;
  promptIds: number[];
  /**
   * The most tokens to draw. null: as many as the context still holds. Either way, the answer never
   * goes past the context.
   */
  maxTokens: number | null;
  stop: string[];
  /**
   * `key` is derived from a secret where clients are served (shared/protocol/derive-draw-key.ts),
   * and from a seed in studies.
   */
  sampling: { key: DrawKey; temperature: number; topP: number };
  /** The gate's settings, from the signed directive. */
  line: Line;
  /**
   * An answer begun elsewhere, to go on with: the same request, and where its answer stands.
   * `maxTokens` and `usage` count all of it.
   */
  resume?: AnswerState;
};

/**
 * If other requests are under way, `waiting` comes at once, then every few seconds while the
 * request waits. `start` comes when it has joined the batch, and `end` comes last. An answer that
 * breaks off throws instead.
 */
export type EngineEvent =
  | Extract<Frame, { type: 'waiting' }>
  | { type: 'start'; prompt_tokens: number }
  | TokenFrame
  | Extract<Frame, { type: 'text' }>
  | Omit<EndFrame, 'receipt'>;

export type EngineInfo = {
  /** The model id that clients use. */
  model: string;
  /** The most tokens of prompt, answer and an expert's own prefix together. */
  contextLength: number;
  /** How many tokens that prefix has, by source. */
  prefixes: Readonly<Record<Source, number>>;
  /** UTF-8 bytes of the longest token. A text of n bytes has at least n / maxTokenBytes tokens. */
  maxTokenBytes: number;
  /** SHA-256 of the bundle. */
  digest: string;
  /** The modes that a line may ask for. `layers` needs a bundle with a layers router. */
  modes: readonly Mode[];
  /**
   * k if the experts' rows are truncated to the k likeliest tokens, null if they are whole.
   * Receipts include it.
   */
  topK: number | null;
};

export type EngineStats = {
  /** Requests in the batch, and requests waiting to join it. */
  running: number;
  waiting: number;
  /** Open sequences: two for each running request, or one if the safety expert answers alone. */
  rows: number;
};

export interface Engine {
  readonly info: EngineInfo;
  /** False once the engine has stopped, by `close` or by a failure. It does not come back. */
  readonly alive: boolean;
  /** Settles when the engine is gone, for whatever reason. */
  readonly closed: Promise<void>;
  stats(): EngineStats;
  /**
   * The events of one answer. It throws a PlimsollError: `context_length_exceeded`, `overloaded` or
   * `invalid_request` (for a mode that is not offered, or an answer with no token left) instead of
   * the first event; `expert_failed` or `backend_unavailable` at any time. If the caller leaves the
   * loop or aborts, the rows are free at the next step.
   */
  generate(request: EngineRequest, options?: { signal?: AbortSignal }): AsyncGenerator<EngineEvent, void, void>;
  /** Ends what is running with `backend_unavailable` and frees everything. */
  close(): Promise<void>;
}

export type EngineLimits = {
  /** Rows in one batch. A request takes two, or one if the safety expert answers alone. */
  maxRows: number;
  /**
   * Requests that may wait for a place before new ones are turned away. A tenant with less than its
   * share of them may still come, until there are twice as many.
   */
  maxWaiting: number;
  /**
   * Prompt tokens, padding included, that one prefill run may hold. This limits how long running
   * answers wait for the run.
   */
  maxPrefillTokens: number;
};

export const DEFAULT_LIMITS: EngineLimits = { maxRows: 32, maxWaiting: 64, maxPrefillTokens: 4096 };
