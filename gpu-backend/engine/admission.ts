/**
 * Whether the batch has room for one more request. It needs a row for each of its sequences, and
 * memory for their keys and values: as much as they will take when every answer in the batch, and
 * this one, has become as long as it may. So no answer that has begun runs out of memory. Answers
 * that are still to be forked from others count as if they were there.
 */
import type { Answer } from './answer.ts';
import type { EngineLimits } from './engine.ts';
import type { Experts } from './experts.ts';
import type { Job } from './job.ts';
import { type KvMemory, longestRows } from './kv-memory.ts';

/** What the batch lacks for this job; null if it has room. */
export function lackFor(
  job: Job,
  running: Iterable<Job>,
  { experts, limits: { maxRows, kvBytes } }: { experts: Experts; limits: Pick<EngineLimits, 'maxRows' | 'kvBytes'> },
): 'rows' | 'memory' | null {
  const all = [...running, job];
  const toCome = all.reduce((sum, { rowsToCome }) => sum + rowsToCome, job.rows);
  if (experts.openCount + toCome > maxRows) return 'rows';
  if (kvBytes === null) return null;
  return experts.cacheBytes(all.flatMap(({ mostTokens }) => mostTokens)) <= kvBytes ? null : 'memory';
}

/** How many answers like this one fit into an empty batch, at least one. */
export function mostTogether(
  { mostTokens }: Pick<Answer, 'mostTokens'>,
  { maxRows, memory }: { maxRows: number; memory: KvMemory | null },
): number {
  const rows = mostTokens.length;
  const longest = Math.max(...mostTokens);
  let together = 1;
  while ((together + 1) * rows <= maxRows && (!memory || longestRows(memory, (together + 1) * rows) >= longest)) {
    together++;
  }
  return together;
}
