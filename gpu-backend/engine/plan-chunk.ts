/**
 * Which prompts one run reads, and how many tokens of each.
 *
 * The tenant that had least work comes first, with its oldest prompt. Others read along as long as
 * the run has room, so that many short prompts take one run. All rows of a run are padded to the
 * longest, so every row gets the same number of tokens or all that it still needs, and padding
 * counts.
 */
import type { FairWork } from './fair-work.ts';

/** A prompt that is being read. */
export type Reading = {
  tenant: string;
  rows: number;
  /** How many tokens its longest row has yet to read. */
  unread: number;
};

/**
 * No row reads fewer tokens at a time, unless it has no more. A run costs much even for one token,
 * and two cost hardly more.
 */
export const LEAST_PER_ROW = 2;

export type Chunk<R> = { readings: R[] /** Tokens of each row. */; width: number };

/**
 * @param readings in the order in which they joined, at least one
 * @param tokens over all rows, padding included. Exceeded only where a first request's rows would
 *   get fewer than `LEAST_PER_ROW`
 */
export function planChunk<R extends Reading>(
  readings: readonly R[],
  { tokens, work }: { tokens: number; work: FairWork },
): Chunk<R> {
  const left = [...readings];
  const planned = new Map<string, number>();
  const ahead = ({ tenant }: R) => work.of(tenant) + (planned.get(tenant) ?? 0);
  const takeNext = () => {
    // Among equals, the one that joined first.
    const next = left.reduce((least, one) => (ahead(one) < ahead(least) ? one : least));
    left.splice(left.indexOf(next), 1);
    return next;
  };
  const plan = (one: R, width: number) => {
    planned.set(one.tenant, (planned.get(one.tenant) ?? 0) + one.rows * Math.min(one.unread, width));
    taken.push(one);
    rows += one.rows;
  };

  const taken: R[] = [];
  let rows = 0;
  const first = takeNext();
  const width = Math.max(LEAST_PER_ROW, Math.min(first.unread, Math.floor(tokens / first.rows)));
  plan(first, width);
  while (left.length > 0) {
    const next = takeNext();
    if ((rows + next.rows) * width > tokens) break;
    // What is left of the run is rather for a tenant behind that still has something to read.
    if (taken.some((one) => one.unread > width && ahead(one) < ahead(next))) break;
    plan(next, width);
  }
  // With nobody left to read along, those who are in read on.
  return { readings: taken, width: Math.max(width, Math.floor(tokens / rows)) };
}
