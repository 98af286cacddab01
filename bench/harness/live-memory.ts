/** How much memory of a process is alive: what is left once its garbage is collected. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import * as z from 'zod';

/** In bytes: the heap of a thread, and what its objects hold outside of it. */
export const LiveMemory = z.strictObject({ main: z.number(), worker: z.number() });
export type LiveMemory = z.infer<typeof LiveMemory>;

/** Node's arguments for a process that can be asked. It needs an IPC channel, and one worker. */
export const REPORTS_LIVE_MEMORY = ['--import', path.join(import.meta.dirname, 'report-live-memory.ts')];

/** What the process gets as a message, and each of its threads. */
export const MEASURE = 'measure-live-memory';

/**
 * Collects the garbage of every thread first, so it takes a while and gives memory back. Ask when
 * nothing is under way, or what it holds counts too. Rejects if the process ends.
 */
export async function liveMemoryOf(child: ChildProcess): Promise<LiveMemory> {
  const stopped = new AbortController();
  const { signal } = stopped;
  const answer = once(child, 'message', { signal });
  const ended = once(child, 'exit', { signal }).then(() => {
    throw new Error('the process ended before it said how much of its memory is alive');
  });
  child.send(MEASURE);
  try {
    const [message] = await Promise.race([answer, ended]);
    return LiveMemory.parse(message);
  } finally {
    stopped.abort();
    await Promise.allSettled([answer, ended]);
  }
}
