/**
 * Finds a backend that takes the request. A backend has taken it once its `start` frame is here; until then nothing has
 * been drawn and nothing told to the client, so the next backend may be asked. After that the answer is this backend's.
 */
import * as z from 'zod';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import { DIRECTIVE_HEADER, type Directive, signDirective } from '#shared/protocol/directive.ts';
import type { Frame } from '#shared/protocol/generate.ts';
import { logError } from '../log.ts';
import type { PoolMember } from './backend-pool.ts';
import { brokenOff, readFrames } from './read-frames.ts';
import { startWatchdog } from './watchdog.ts';

export type Timeouts = {
  /** Until a backend takes a request: its queue's length, and as long as a directive lives. */
  startMs: number;
  /** Between two frames: a long prompt's prefill is the longest silence there is. */
  frameMs: number;
};
export const DEFAULT_TIMEOUTS: Timeouts = { startMs: 30_000, frameMs: 60_000 };

/** Past this many the trouble is not one backend's, and the client waits for nothing. */
const MAX_ATTEMPTS = 3;

export type StartFrame = Extract<Frame, { type: 'start' }>;
export type BackendAnswer = {
  member: PoolMember;
  /** The one that the backend took, of those that were signed for the attempts. */
  directive: Directive;
  start: StartFrame;
  /** The frames after `start`. */
  frames: AsyncIterable<Frame[]>;
};

export type CallOptions = {
  requestId: string;
  body: string;
  candidates: readonly PoolMember[];
  /**
   * Signed anew for each attempt, under an id of its own: a backend takes a directive once, and it may have grown old while the
   * attempt before it waited.
   */
  directive: Omit<Directive, 'id'>;
  directiveKey: Uint8Array;
  /** The client's: aborts whatever is under way. */
  signal: AbortSignal;
  timeouts: Timeouts;
  fetch: typeof globalThis.fetch;
};

export async function callBackend(options: CallOptions): Promise<BackendAnswer> {
  let lastError = new PlimsollError('backend_unavailable', 'No backend is available. Please try again.');
  for (const member of options.candidates.slice(0, MAX_ATTEMPTS)) {
    try {
      return await attempt(member, options);
    } catch (thrown) {
      if (options.signal.aborted || !(thrown instanceof PlimsollError)) throw thrown;
      if (!ERROR_CODES[thrown.code].retry) throw thrown;
      const { url } = member;
      logError({ event: 'backend-attempt-failed', request: options.requestId, url, code: thrown.code, cause: thrown });
      lastError = thrown;
    }
  }
  throw lastError;
}

async function attempt(member: PoolMember, options: CallOptions): Promise<BackendAnswer> {
  const { body, directiveKey, signal, timeouts, fetch } = options;
  const directive: Directive = { ...options.directive, id: crypto.randomUUID() };
  const abort = new AbortController();
  const abortWithClient = () => abort.abort(signal.reason);
  signal.addEventListener('abort', abortWithClient, { once: true });
  if (signal.aborted) abortWithClient();

  const watchdog = startWatchdog(timeouts.startMs, {
    onSilence: (ms) => abort.abort(brokenOff(`nothing for ${ms} ms`)),
  });
  const letGo = () => {
    watchdog.stop();
    signal.removeEventListener('abort', abortWithClient);
    abort.abort();
  };

  const frames = open();
  try {
    const { value: first } = await frames.next();
    const [start, ...rest] = first ?? [];
    if (start?.type === 'error') throw new PlimsollError(start.code, start.message);
    if (start?.type !== 'start') throw brokenOff('the first frame is not a start');
    watchdog.heard(timeouts.frameMs);
    return { member, directive, start, frames: afterStart(rest) };
  } catch (thrown) {
    letGo();
    throw thrown;
  }

  async function* open(): AsyncGenerator<Frame[], void, void> {
    const answer = await fetch(`${member.url}/v1/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', [DIRECTIVE_HEADER]: await signDirective(directive, directiveKey) },
      body,
      signal: abort.signal,
    }).catch((cause: unknown) => {
      throw new PlimsollError('backend_unavailable', 'No backend is available. Please try again.', { cause });
    });
    if (!answer.ok || answer.body === null) throw await refusal(answer);
    yield* readFrames(answer.body);
  }

  async function* afterStart(rest: Frame[]): AsyncGenerator<Frame[], void, void> {
    try {
      if (rest.length > 0) yield rest;
      for await (const batch of frames) {
        watchdog.heard(timeouts.frameMs);
        yield batch;
      }
    } finally {
      // However this ends: the answer's end, an error, a consumer that stopped.
      letGo();
    }
  }
}

const RefusalBody = z.object({
  error: z.object({ message: z.string(), param: z.string().nullish(), code: z.string() }),
});

/** What a backend's error means to the client. Its doubts about our directive are our own fault, not the client's. */
async function refusal(answer: Response): Promise<PlimsollError> {
  const parsed = RefusalBody.safeParse(await answer.json().catch(() => null));
  if (!parsed.success || !Object.hasOwn(ERROR_CODES, parsed.data.error.code)) {
    return new PlimsollError('backend_unavailable', 'The backend failed. Please try again.', {
      detail: { status: answer.status },
    });
  }
  const { message, param } = parsed.data.error;
  const code = parsed.data.error.code as ErrorCode;
  if (code === 'directive_invalid' || code === 'directive_expired') {
    return new PlimsollError('internal_error', 'The server had an error while processing your request.', {
      detail: { code, message },
    });
  }
  const retryAfter = Number(answer.headers.get('retry-after'));
  return new PlimsollError(code, message, {
    param: param ?? null,
    ...(retryAfter > 0 && { retryAfterSeconds: retryAfter }),
  });
}
