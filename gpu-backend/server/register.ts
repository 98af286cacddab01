/**
 * Registers a backend with an edge, and keeps it registered by heartbeats. Each one says all there
 * is to say, so an edge that has forgotten the backend knows it again after the next. An edge that
 * cannot be reached is tried again, less and less often; the backend serves on meanwhile.
 */
import type * as z from 'zod';
import {
  HEARTBEAT_PATH,
  type Heartbeat,
  HeartbeatReply,
  heartbeatKey,
  MISSED_HEARTBEATS,
  signHeartbeat,
} from '#shared/protocol/heartbeat.ts';
import type { Log } from './log.ts';

type Report = z.input<typeof Heartbeat>['report'];
export type RegistrationReport = Omit<Report, 'status'> & { status: Exclude<Report['status'], 'gone'> };

export type RegisterOptions = {
  /** The edge's URL. */
  edge: string;
  /** While a deployment changes its secret, the edge knows only one of these. */
  directiveKeys: readonly [Uint8Array, ...Uint8Array[]];
  heartbeatMs: number;
  /** What to say now. */
  report: () => RegistrationReport;
  /** Called with each answer: whether the operator has drained this backend. */
  onDrain: (drain: boolean) => void;
  log: Log;
  fetch?: typeof globalThis.fetch;
  now?: () => number;
  random?: () => number;
};

export type Registration = {
  /** Says now what would be said with the next heartbeat. Resolves once the edge has answered. */
  beat(): Promise<void>;
  /** Says goodbye, and nothing after it. Resolves even if the edge cannot be reached. */
  leave(): Promise<void>;
};

/** Heartbeats come up to this share early, so that a pool that starts together does not stay so. */
const JITTER = 0.2;
/** While the edge cannot be reached, waits get longer, up to this many heartbeats. */
const LONGEST_WAIT = 12;
const LEAST_TIMEOUT_MS = 2_000;
/** A goodbye holds up the end of the process. */
const GOODBYE_MS = 1_000;

export function startRegistration({
  edge,
  directiveKeys,
  heartbeatMs,
  report,
  onDrain,
  log,
  fetch = globalThis.fetch,
  now = Date.now,
  random = Math.random,
}: RegisterOptions): Registration {
  const keys = Promise.all(directiveKeys.map(heartbeatKey));
  /** Which of the keys the edge knows, as far as we know. */
  let current = 0;
  const incarnation = now();
  const url = `${edge.replace(/\/+$/, '')}${HEARTBEAT_PATH}`;
  let counter = 0;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let hasLeft = false;
  const stop = new AbortController();
  /** What was last logged: nothing twice in a row. */
  let said = '';
  const say = (message: string) => {
    if (message !== said) log(message);
    said = message;
  };

  /** Signs a heartbeat with one of the keys, and sends it. */
  async function post(status: Report['status'], timeoutMs: number): Promise<Response> {
    counter += 1;
    const heartbeat = { incarnation, counter, report: { ...report(), status } };
    const token = await signHeartbeat(heartbeat, (await keys)[current]!, new Date(now()));
    const timeout = AbortSignal.timeout(timeoutMs);
    return fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      signal: status === 'gone' ? timeout : AbortSignal.any([timeout, stop.signal]),
    });
  }

  async function send(status: Report['status'], timeoutMs: number): Promise<void> {
    try {
      let answer = await post(status, timeoutMs);
      for (let tried = 1; answer.status === 401 && tried < directiveKeys.length; tried++) {
        await answer.body?.cancel();
        current = (current + 1) % directiveKeys.length;
        answer = await post(status, timeoutMs);
      }
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${answer.status}: ${messageOf(text)}`);
      const { drain } = HeartbeatReply.parse(JSON.parse(text));
      failures = 0;
      if (hasLeft) return;
      say(`registered with ${edge} as ${report().url}`);
      onDrain(drain);
    } catch (error) {
      failures += 1;
      const isGone = hasLeft && status !== 'gone';
      if (!isGone) say(`cannot register with ${edge}, and goes on without: ${reasonOf(error)}`);
    }
  }

  /** Heartbeats never overlap, so their counters arrive in order. */
  let last = Promise.resolve();
  const inTurn = (task: () => Promise<void>) => (last = last.then(task));

  function plan(): void {
    clearTimeout(timer);
    if (hasLeft) return;
    // An edge that answers hears every heartbeat. Two that fail may still be in time.
    const stretch = failures < MISSED_HEARTBEATS ? 1 : Math.min(2 ** (failures - MISSED_HEARTBEATS + 1), LONGEST_WAIT);
    const waitMs = heartbeatMs * stretch * (1 - JITTER * random());
    timer = setTimeout(() => void beat(), waitMs);
    timer.unref();
  }

  function beat(): Promise<void> {
    return inTurn(async () => {
      if (hasLeft) return;
      await send(report().status, Math.max(heartbeatMs, LEAST_TIMEOUT_MS));
      plan();
    });
  }

  void beat();
  let leaving: Promise<void> | undefined;
  return {
    beat,
    leave: () =>
      (leaving ??= (async () => {
        hasLeft = true;
        clearTimeout(timer);
        // A heartbeat under way must not hold up the goodbye.
        stop.abort();
        await inTurn(() => send('gone', GOODBYE_MS));
      })()),
  };
}

/** The message of an error in OpenAI's shape, or the beginning of whatever came instead. */
function messageOf(text: string): string {
  try {
    const message: unknown = JSON.parse(text)?.error?.message;
    if (typeof message === 'string') return message;
  } catch {
    // Not JSON: something between us and the edge has answered.
  }
  return text.slice(0, 200);
}

function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  return cause instanceof Error && cause.message !== '' ? `${message}: ${cause.message}` : message;
}
