/**
 * Who is in the pool, as pure functions of heartbeats and the time. `PoolDirectory` keeps the
 * records and asks these.
 */
import { type Heartbeat, MISSED_HEARTBEATS } from '#shared/protocol/heartbeat.ts';
import type { PoolReport } from '#shared/protocol/pool-report.ts';

/** What the directory remembers to tell a new heartbeat from an old one. */
export type LastWord = {
  incarnation: number;
  counter: number;
  /** Whether it was a goodbye. */
  left: boolean;
  /** See `PoolReport`. */
  pool?: 'helpfulness' | undefined;
  /** By the directory's own clock, so the backend's clock decides nothing. */
  heardAtMs: number;
};

/**
 * What becomes of a heartbeat. `replayed`: this one, or a later one, was heard before.
 * `superseded`: the backend has started again since. `left`: this incarnation has said goodbye.
 * `taken_by_others`: a member of the helpfulness pool, which may be other people's, speaks for the
 * URL of a backend that is none. `full`: there are `MOST_HELPFUL` of that pool already.
 */
export type Hearing = 'taken' | 'replayed' | 'superseded' | 'left' | 'taken_by_others' | 'full';

/**
 * How many members of the helpfulness pool are remembered. Whoever has its secret could name URLs
 * without end, and each isolate reads all of them every few seconds.
 */
export const MOST_HELPFUL = 64;

/**
 * What a backend is now. `out`: it has missed three heartbeats. `gone`: it has said goodbye. Only
 * one that is `up` gets requests.
 */
export type BackendState = 'up' | 'loading' | 'draining' | 'out' | 'gone';

/**
 * After this silence, what was heard before no longer counts against a heartbeat. It has to be
 * longer than a heartbeat lives: then no copy is fresh any more.
 */
export const STALE_WORD_MS = 10 * 60_000;
/**
 * A backend that vanished is listed for this long, so its model still exists and a request for it
 * may be sent again. One that said goodbye was taken out on purpose, and is listed for ten minutes,
 * which is long enough for a restart.
 */
export const LISTED_MS = { vanished: 24 * 3600_000, left: STALE_WORD_MS } as const;

export function hear(
  before: LastWord | undefined,
  { incarnation, counter, pool }: Pick<Heartbeat, 'incarnation' | 'counter'> & Pick<PoolReport, 'pool'>,
  nowMs: number,
): Hearing {
  if (before === undefined || nowMs - before.heardAtMs > STALE_WORD_MS) return 'taken';
  if (pool !== before.pool) return pool === undefined ? 'taken' : 'taken_by_others';
  if (incarnation > before.incarnation) return 'taken';
  if (incarnation < before.incarnation) return 'superseded';
  if (before.left) return 'left';
  return counter > before.counter ? 'taken' : 'replayed';
}

/** @param ageMs how long ago the report was heard */
export function stateOf(
  { status, heartbeat_ms }: Pick<PoolReport, 'status' | 'heartbeat_ms'>,
  ageMs: number,
): BackendState {
  if (status === 'gone') return 'gone';
  if (ageMs > MISSED_HEARTBEATS * heartbeat_ms) return 'out';
  return status === 'ok' ? 'up' : status;
}

export function isListed({ heardAtMs, left }: Pick<LastWord, 'heardAtMs' | 'left'>, nowMs: number): boolean {
  return nowMs - heardAtMs <= (left ? LISTED_MS.left : LISTED_MS.vanished);
}
