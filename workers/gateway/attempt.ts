/**
 * One request to one backend. It carries a directive of its own, is watched for silence, and is
 * given up when the client leaves.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { DIRECTIVE_HEADER, type Directive, signDirective } from '#shared/protocol/directive.ts';
import type { Frame } from '#shared/protocol/generate.ts';
import type { RequestTrace } from '#shared/trace/tracing.ts';
import type { Load } from './affinity.ts';
import type { PoolMember } from './backend-pool.ts';
import { backendRefusal } from './backend-refusal.ts';
import { brokenOff, isUnread, readFrames, unread } from './read-frames.ts';
import { startWatchdog } from './watchdog.ts';

export type Timeouts = {
  /** How long a backend may say nothing at all: as long as a directive lives. */
  startMs: number;
  /**
   * The longest wait between two frames. The longest silence comes from one chunk of a long
   * prompt.
   */
  frameMs: number;
  /** How long a backend may be silent before we ask a second one as well. */
  hedgeMs: number;
  /** How long we look for a backend that goes on with an answer that another one broke off. */
  resumeMs: number;
  /**
   * How long an answer that the edge mixes waits for the helpfulness expert once the safety expert
   * is there, at its beginning and at each token.
   */
  besideMs: number;
};
/**
 * A healthy backend says within milliseconds that it has taken a request. A busy machine may take
 * longer.
 */
export const DEFAULT_TIMEOUTS: Timeouts = {
  startMs: 30_000,
  frameMs: 60_000,
  hedgeMs: 750,
  resumeMs: 15_000,
  besideMs: 10_000,
};

export type StartFrame = Extract<Frame, { type: 'start' }>;
export type BackendAnswer = {
  member: PoolMember;
  /** The directive that the backend took, out of those signed for the attempts. */
  directive: Directive;
  start: StartFrame;
  /** The frames after `start`. */
  frames: AsyncIterable<Frame[]>;
};

export type AttemptOptions = {
  requestId: string;
  trace: RequestTrace;
  body: string;
  /**
   * Signed again for each attempt, with a new id: a backend takes a directive only once, and the
   * old one may have expired while the previous attempt waited. A backend without a probe gets no
   * rules for a second look.
   */
  directive: Omit<Directive, 'id'>;
  /** An answer that goes on, or is begun anew, must start as it did. */
  expects?: Pick<StartFrame, 'bundle' | 'draws' | 'prompt_tokens'>;
  directiveKey: Uint8Array;
  /** The client's signal. It aborts whatever is under way. */
  signal: AbortSignal;
  timeouts: Timeouts;
  fetch: typeof globalThis.fetch;
  /** Where it counts for as long as it is under way. */
  load: Pick<Load, 'begin'>;
  onWaiting: () => void;
  /**
   * Called if the backend times out or breaks, before its answer has begun or in the middle of it.
   * Not if the client left, or read so slowly that we left the backend.
   */
  onBroken: () => void;
};

export type Attempt = {
  member: PoolMember;
  /** Resolves at the `start` frame, or rejects with what came instead. */
  answer: Promise<BackendAnswer>;
  /**
   * Whether the backend has said anything. If it has and `answer` is still pending, the request
   * waits there.
   */
  hasSpoken(): boolean;
  /** Whether it was asked at least `ms` ago and has said nothing at all. */
  isSilentFor(ms: number): boolean;
  /** How long it took to say anything, in ms; null if it has not. */
  saidAfterMs(): number | null;
  giveUp(): void;
};

/** Gives workerd time to notice that the other end has closed its kept-alive connections. */
const BEFORE_SECOND_TRY_MS = 20;

export function startAttempt(member: PoolMember, options: AttemptOptions): Attempt {
  const { body, directiveKey, signal, timeouts, fetch } = options;
  const askedAtMs = Date.now();
  let saidAfterMs: number | null = null;
  /** Whether somebody waits for the next frame. A client that reads slowly does not. */
  let isAwaited = true;
  let isLeft = false;
  const abort = new AbortController();
  const end = options.load.begin(member.url);
  const giveUp = () => {
    isLeft = true;
    end();
    abort.abort(signal.reason);
  };
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();

  const span = options.trace.call('generate', { 'url.full': `${member.url}/v1/generate` });
  const watchdog = startWatchdog(timeouts.startMs, {
    // Also if nobody wants to hear: a client that reads nothing must not hold a place in a batch.
    onSilence: (ms) => abort.abort(isAwaited ? brokenOff(`nothing for ${ms} ms`) : unread()),
  });
  const letGo = () => {
    end();
    span.end();
    watchdog.stop();
    signal.removeEventListener('abort', giveUp);
    abort.abort();
  };
  const noteBreakage = (thrown: unknown) => {
    if (isLeft || !(thrown instanceof PlimsollError) || isUnread(thrown)) return;
    span.fail(thrown.code);
    if (thrown.code === 'backend_unavailable') options.onBroken();
  };

  async function take(): Promise<BackendAnswer> {
    try {
      const { response, directive } = await ask();
      if (!response.ok || response.body === null) throw await backendRefusal(response);
      const frames = readFrames(response.body);
      for (;;) {
        const { value: batch = [] } = await frames.next();
        saidAfterMs ??= Date.now() - askedAtMs;
        const begins = batch.findIndex(({ type }) => type !== 'waiting');
        if (begins !== 0 && batch.length > 0) {
          watchdog.heard(timeouts.startMs);
          options.onWaiting();
        }
        if (begins === -1 && batch.length > 0) continue;
        const start = batch[begins];
        if (start?.type === 'error') throw new PlimsollError(start.code, start.message);
        if (start?.type !== 'start') throw brokenOff('the first frame is not a start');
        if (start.model !== member.model) throw brokenOff(`the start names the model ${start.model}`);
        refuseOther(start, options.expects);
        watchdog.heard(timeouts.frameMs);
        isAwaited = false;
        return { member, directive, start, frames: afterStart(frames, batch.slice(begins + 1)) };
      }
    } catch (thrown) {
      noteBreakage(thrown);
      letGo();
      throw thrown;
    }
  }

  /**
   * Asks once more after a failure, because the other end may have just closed a kept-alive
   * connection.
   */
  async function ask(): Promise<{ response: Response; directive: Directive }> {
    try {
      return await askOnce();
    } catch (cause) {
      if (abort.signal.aborted) throw unavailable(abort.signal.reason);
      await new Promise((resolve) => setTimeout(resolve, BEFORE_SECOND_TRY_MS));
      return await askOnce().catch((again: unknown) => {
        throw unavailable(abort.signal.aborted ? abort.signal.reason : (again ?? cause));
      });
    }
  }

  async function askOnce(): Promise<{ response: Response; directive: Directive }> {
    const directive: Directive = {
      ...options.directive,
      // An answer that goes on is not looked at again.
      ...(member.secondLook === null && options.directive.resume === null && { second_look: null }),
      id: crypto.randomUUID(),
    };
    const response = await fetch(`${member.url}/v1/generate`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        [DIRECTIVE_HEADER]: await signDirective(directive, directiveKey),
        ...span.headers,
      },
      body,
      signal: abort.signal,
    });
    return { response, directive };
  }

  async function* afterStart(frames: AsyncIterable<Frame[]>, rest: Frame[]): AsyncGenerator<Frame[], void, void> {
    const awaits = () => {
      isAwaited = true;
      watchdog.heard(timeouts.frameMs);
    };
    try {
      if (rest.length > 0) yield rest;
      awaits();
      for await (const batch of frames) {
        watchdog.heard(timeouts.frameMs);
        isAwaited = false;
        yield batch;
        awaits();
      }
    } catch (thrown) {
      const error = isUnread(abort.signal.reason) ? unread() : thrown;
      noteBreakage(error);
      throw error;
    } finally {
      // This runs however the answer ends: at its end, with an error, or because the consumer
      // stopped.
      letGo();
    }
  }

  return {
    member,
    answer: take(),
    hasSpoken: () => saidAfterMs !== null,
    isSilentFor: (ms) => saidAfterMs === null && Date.now() - askedAtMs >= ms,
    saidAfterMs: () => saidAfterMs,
    giveUp: () => {
      giveUp();
      letGo();
    },
  };
}

function refuseOther(start: StartFrame, expects: AttemptOptions['expects'] = start): void {
  const fields = ['bundle', 'draws', 'prompt_tokens'] as const;
  const other = fields.find((field) => start[field] !== expects[field]);
  if (other === undefined) return;
  const message = `The answer began with ${other} ${expects[other]}, and this backend has ${start[other]}.`;
  throw new PlimsollError('model_not_found', message);
}

function unavailable(cause: unknown): PlimsollError {
  return new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause });
}
