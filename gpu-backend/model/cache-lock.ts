import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheFolder } from './cache-folder.ts';
import { lockFolder } from './lock-folder.ts';
import { makeFolder } from './make-folder.ts';

/** The cache folder cannot take what we want to put into it. */
export class CacheError extends Error {
  override readonly name = 'CacheError';
}

export type Waiting = {
  /** Ends the waiting. */
  signal?: AbortSignal | undefined;
  /** Called if another process has the lock, before we wait for it. */
  onWait?: (() => void) | undefined;
};

const POLL_MS = 250;

/**
 * Runs `work` while no other process fetches the same thing. Waits for one that does. When `signal`
 * aborts, throws its reason. Throws a `CacheError` if the cache folder cannot be written.
 */
export async function withCacheLock<T>(
  cache: CacheFolder,
  thing: string,
  work: () => Promise<T>,
  { signal, onWait }: Waiting = {},
): Promise<T> {
  const folder = path.join(cache.locks, thing);
  const take = () => {
    try {
      makeFolder(folder);
      return lockFolder(folder);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CacheError(
        `the cache ${cache.dir} cannot be written (${why}); PLIMSOLL_CACHE may name another folder`,
        {
          cause,
        },
      );
    }
  };
  let lock = take();
  if (lock === null) onWait?.();
  while (lock === null) {
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal?.throwIfAborted());
    lock = take();
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}
