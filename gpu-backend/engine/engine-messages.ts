/**
 * The messages between an engine's caller and the thread it runs in. They are plain data, because
 * they are cloned on the way.
 */
import type { MessagePort, Worker } from 'node:worker_threads';
import { type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import type { EngineEvent, EngineInfo, EngineRequest, EngineStats, TakenToken } from './engine.ts';
import { NO_PREFIXES } from './experts.ts';

export type ToEngine =
  | { type: 'submit'; id: number; request: EngineRequest }
  | { type: 'take'; id: number; taken: TakenToken }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

export type FromEngine =
  | { type: 'ready'; info: EngineInfo }
  /** The bundle could not be loaded. No message follows. */
  | { type: 'failed'; message: string }
  /**
   * Everything that happened since the last news, for all requests, and the ids of the waiting
   * requests, in the order they will join.
   */
  | { type: 'news'; outcomes: Outcome[]; queue: number[]; stats: ThreadStats };

/** What the thread counts; who waits is counted by the caller's side. */
export type ThreadStats = Omit<EngineStats, 'waiting'>;

/** The stats of a thread in which nothing has run. */
export const NOTHING_RAN: ThreadStats = { running: 0, rows: 0, prefixes: NO_PREFIXES, memoryWaits: 0 };

export type Outcome = { id: number; events: EngineEvent[] } | { id: number; error: PlainError };

/** Whether nothing follows these events of a request. */
export function endsRequest(events: readonly EngineEvent[]): boolean {
  const last = events.at(-1);
  return last?.type === 'end' && last.remaining === undefined;
}

/** An error as data. Its cause travels as text, for the log. */
export type PlainError = { code: ErrorCode; message: string; param: string | null; cause: string | undefined };

export function toPlainError({ code, message, param, cause }: PlimsollError): PlainError {
  const text =
    cause instanceof Error ? (cause.stack ?? cause.message) : cause === undefined ? undefined : String(cause);
  return { code, message, param, cause: text };
}

export function fromPlainError({ code, message, param, cause }: PlainError): PlimsollError {
  return new PlimsollError(code, message, { param, cause });
}

export type Port = MessagePort | Worker;

/** What the caller's side needs of a port. */
export type ClientPort = {
  postMessage(message: ToEngine): void;
  on(event: 'message', listener: (message: FromEngine) => void): unknown;
};
