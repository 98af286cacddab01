/**
 * The engine as its callers see it: prompts go in as token ids, gated tokens come out as events.
 * Callers cannot tell where it runs (a worker thread, this thread) or what computes the logits
 * (onnxruntime, a table).
 */
import type { RequestedSampling } from '#shared/answer/answer-sampling.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { DrawKey } from '#shared/gate/index.ts';
import type { BackendMode, Line } from '#shared/line/line.ts';
import type { ExpertKinds } from '#shared/protocol/expert-kind.ts';
import type { ExpertRow, RouterEnd, Take } from '#shared/protocol/expert-messages.ts';
import type { EndFrame, Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { Ran } from '#shared/protocol/ran.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import type { Provider } from '../graph/provider.ts';
import type { LookedMessage } from '../model/looked-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';
import type { AnswerState } from './answer-state.ts';
import type { PrefixStats, Source } from './experts.ts';
import type { KvMemory } from './kv-memory.ts';

/** The prompt of each source that does not read the client's. */
type RowPrompts = Partial<Readonly<Record<Source, readonly number[]>>>;

export type PublicTokens = Partial<Readonly<Record<Source, number>>>;

export type EngineRequest = {
  /**
   * The tenant that sent the request. When requests have to wait, tenants get equal shares.
   * Requests without a tenant all count as one tenant's.
   */
  tenant?: string;
  /** The client's tokens. `usage` counts them, and draw keys depend on them. */
  promptIds: number[];
  /**
   * What an expert reads instead of `promptIds` if it has a system prompt of its own. Its row then
   * has its own length and positions.
   */
  rowPrompts?: RowPrompts;
  /**
   * How many tokens at the beginning of each source's prompt belong to the operator, so that all
   * tenants may share what was kept of them; none if left out. The rest stays with the tenant.
   */
  publicTokens?: PublicTokens;
  /**
   * The most tokens to draw. null means as many as the context still holds. Either way, the answer
   * never goes past the context.
   */
  maxTokens: number | null;
  stop: string[];
  sampling: RequestedSampling & {
    /**
     * A server for clients derives it from a secret (shared/protocol/derive-draw-key.ts). A study
     * derives it from a seed.
     */
    key: DrawKey;
  };
  /** The keys of further answers to the same prompt: choice i draws with `moreKeys[i - 1]`. */
  moreKeys?: readonly DrawKey[];
  /**
   * Nothing ends an answer with fewer tokens, neither its experts nor a stop string. 0 if left out.
   */
  minTokens?: number;
  /** Go on when the experts end the answer. */
  ignoresEnd?: boolean;
  /** Report each token's bytes, and this many of the likeliest ones beside it. */
  topLogprobs?: number;
  /** false: events need not say what each expert itself gives a token. */
  expertLogprobs?: boolean;
  /** Report the text of the client's tokens first; with `topLogprobs`, what was thought of each. */
  echo?: boolean;
  /** The gate's settings, from the signed directive. */
  line: Line;
  /** Asks for a second look at these messages of the safety expert's prompt, before any token. */
  secondLook?: SecondLook & { messages: readonly LookedMessage[] };
  /**
   * The state of an answer begun elsewhere, to continue from it. The rest of the request must be
   * the same as there. `maxTokens` and `usage` count the whole answer. If its tokens end it, only
   * its end is left to tell.
   */
  resume?: AnswerState;
  /** Draw nothing: report this expert's rows, and let the caller say what was drawn. */
  rows?: RowsWish;
};

/** Which rows to report. See row-teller.ts. */
export type RowsWish = {
  expert: ExpertRole;
  /** k truncates them to the k likeliest tokens; null leaves them whole. */
  topK: number | null;
  /** How many positions to go on before the caller has said what was drawn. */
  ahead: number;
};

/**
 * If other requests are under way, `waiting` comes at once, then every few seconds while the
 * request waits. `start` comes when the request has joined the batch. `reading` comes every few
 * seconds while its prompt is read, and `end` comes last. If the
 * request is for several answers, each has an `end`, and the last one says that none remains. A
 * request that breaks off throws instead.
 */
export type EngineEvent =
  | Extract<Frame, { type: 'waiting' | 'reading' }>
  | {
      type: 'start';
      prompt_tokens: number;
      /** What a resumed answer said before, as far as it was certain. Left out of any other. */
      text?: string;
    }
  | Extract<Frame, { type: 'echo' }>
  | DrawnToken
  | Extract<Frame, { type: 'text' }>
  | RowEvent
  | (Omit<EndFrame, 'receipt'> & {
      /** The line that was held. */
      line: Line;
    });

/** A row, for a request that asks for rows. */
type RowEvent = {
  type: 'row';
  row: ExpertRow;
  /** What the second look found, with the first row. */
  second_look?: LookReport;
};

/** One drawn token. */
export type DrawnToken = Omit<TokenFrame, 'mark'> & {
  /** For how many of the answer's tokens, up to this one, each source gave a prediction. */
  ran: Ran;
  /** What the second look found, with the answer's first token. */
  second_look?: LookReport;
};

export type EngineInfo = {
  /** The model id that clients use. */
  model: string;
  /** The most tokens of prompt and answer together, in the longest row. */
  contextLength: number;
  /** The model's number of token ids. */
  vocabSize: number;
  /** UTF-8 bytes of the longest token. A text of n bytes has at least n / maxTokenBytes tokens. */
  maxTokenBytes: number;
  /** What the bundle's experts are. Receipts include it. */
  experts: ExpertKinds;
  /** SHA-256 of the bundle. */
  digest: string;
  /** What runs the graph; null for an engine without one. */
  provider: Provider | null;
  /** The modes that a line may request. `layers` needs a bundle with a layers router. */
  modes: readonly BackendMode[];
  /**
   * k if the experts' rows are truncated to the k likeliest tokens, null if they are whole.
   * Receipts include it.
   */
  topK: number | null;
  /** Whether it can say what its experts thought of a prompt's tokens. */
  scores: boolean;
  /** The safety weight proposed for every token; null if a router proposes them. */
  proposal: number | null;
  /** The version of the probe that looks at prompts a second time; null if there is none. */
  secondLook: string | null;
  /** The end of the logits router, if there is one; see `RouterEnd`. */
  router?: RouterEnd | undefined;
  /** How long answers may get in the memory for keys and values; null if nothing bounds it. */
  memory: KvMemory | null;
};

export type EngineStats = {
  /** Requests in the batch, and requests waiting to join it. */
  running: number;
  waiting: number;
  /** Open sequences: of each running answer, one for each expert that it asks, so one or two. */
  rows: number;
  /** How well kept prefixes serve, counted in tokens of rows, since the weights were loaded. */
  prefixes: PrefixStats;
  /**
   * How many requests could not join because memory for keys and values was short, since the
   * weights were loaded. One counts when it is next to join; those behind it wait for it.
   */
  memoryWaits: number;
};

/**
 * Where the weights are. `idle`: nowhere, until the next request loads them again. `restarting`: a
 * failure took them, and they are being loaded again.
 */
export type EngineState = 'loaded' | 'loading' | 'idle' | 'restarting';

export interface Engine {
  readonly info: EngineInfo;
  readonly state: EngineState;
  /** How many times the engine has come back from a failure. */
  readonly restarts: number;
  /** False once the engine has stopped, through `close` or failures. It does not come back. */
  readonly alive: boolean;
  /** Settles when the engine is gone, for whatever reason. */
  readonly closed: Promise<void>;
  stats(): EngineStats;
  /**
   * The events of one answer. It throws a PlimsollError: `context_length_exceeded` (also if even
   * alone it would need more memory than there is), `overloaded` or `invalid_request` (for a mode
   * that is not offered, or an answer with no token left) instead of the first event;
   * `expert_failed` or `backend_unavailable` at any time. The latter may mean that the engine
   * failed and is starting again. If the caller leaves the loop or aborts, its rows are freed at
   * the next step.
   *
   * `takes` says what was drawn, for a request that asks for rows.
   */
  generate(
    request: EngineRequest,
    options?: { signal?: AbortSignal; takes?: Takes },
  ): AsyncGenerator<EngineEvent, void, void>;
  /** Ends running answers with `backend_unavailable` and frees everything. */
  close(): Promise<void>;
}

/** What was drawn at a position, and the epoch that begins if it is not what was guessed. */
export type TakenToken = Omit<Take, 'type'>;
/** Passes on each token to whoever listens. One listener is enough. */
export type Takes = { listen(listener: (taken: TakenToken) => void): void };

export type EngineLimits = {
  /** Rows in one batch. An answer takes one for each expert that it asks: one or two. */
  maxRows: number;
  /**
   * How many requests may wait before new ones are turned away. A tenant below its share may still
   * queue, up to twice this number in all.
   */
  maxWaiting: number;
  /**
   * The most prompt tokens, padding included, in one run. It counts while no answer is under way.
   * Then it limits how long requests that come have to wait for the run. Beside running answers,
   * fewer are read at a time; see prefill-pace.ts.
   */
  maxPrefillTokens: number;
  /**
   * Bytes for the keys and values of all rows; null means no bound. A request joins only if all
   * fits, even if every answer gets as long as it may.
   */
  kvBytes: number | null;
  /** Bytes for prefixes that are kept for later requests, beside `kvBytes`. 0 keeps none. */
  prefixBytes: number;
  /**
   * Whether answers that repeat their prompt or themselves are read ahead, where that pays. It
   * changes how fast they come, and what they say only as far as rounding does. How far to read
   * ahead depends on measured times, so a study that must repeat itself to the last bit does
   * without.
   */
  speculation: boolean;
};

export const DEFAULT_LIMITS: EngineLimits = {
  maxRows: 32,
  maxWaiting: 64,
  maxPrefillTokens: 512,
  kvBytes: null,
  prefixBytes: 0,
  speculation: false,
};
