/**
 * Whether the batch has room for one more request. It needs a row for each of its sequences, and
 * memory for their keys and values: as much as they will take when every answer in the batch, and
 * this one, has become as long as it may. So no answer that has begun runs out of memory.
 */
import type { EngineLimits } from './engine.ts';
import type { Experts } from './experts.ts';
import type { Job } from './job.ts';

export function hasRoom(
  job: Job,
  running: Iterable<Job>,
  { experts, limits: { maxRows, kvBytes } }: { experts: Experts; limits: Pick<EngineLimits, 'maxRows' | 'kvBytes'> },
): boolean {
  if (experts.openCount + job.rows > maxRows) return false;
  if (kvBytes === null) return true;
  const claims = [...running, job].flatMap(({ answer }) => answer.mostTokens);
  return experts.cacheBytes(claims) <= kvBytes;
}
