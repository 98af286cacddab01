/**
 * How long answers may get in the memory there is for keys and values. It is plain data, so that a
 * client can refuse what can never fit without asking the engine's thread.
 */
import type { Experts } from './experts.ts';

export type KvMemory = {
  /** Bytes for the keys and values of all rows. */
  bytes: number;
  /** About how many of them one token of one row takes. */
  bytesPerToken: number;
  /**
   * The most tokens that rows may have so that this many of them fit, if they are alone: for 1 row,
   * for 2 rows, and so on to as many as a batch has.
   */
  longest: readonly number[];
};

/** null if nothing bounds the memory. */
export function kvMemory(
  experts: Pick<Experts, 'cacheBytes'>,
  { kvBytes, maxRows, contextLength }: { kvBytes: number | null; maxRows: number; contextLength: number },
): KvMemory | null {
  if (kvBytes === null) return null;
  const fits = (rows: number, tokens: number) => experts.cacheBytes(Array(rows).fill(tokens)) <= kvBytes;
  const longest = Array.from({ length: maxRows }, (_, i) => {
    let [most, tooMany] = [0, contextLength + 1];
    while (tooMany - most > 1) {
      const tokens = Math.floor((most + tooMany) / 2);
      if (fits(i + 1, tokens)) most = tokens;
      else tooMany = tokens;
    }
    return most;
  });
  return { bytes: kvBytes, bytesPerToken: Math.ceil(experts.cacheBytes([contextLength]) / contextLength), longest };
}

/** If the client sets no limit, a small memory leaves an answer at least this many tokens. */
const LEAST_ANSWER = 512;

/**
 * The most tokens that an answer may have.
 *
 * A client's own limit counts as it is, up to the context; whether that fits is for
 * check-request.ts to say. Without a limit, an answer gets what its context has left. But where
 * memory is smaller than a full batch of full contexts, it gets no more than its share of a full
 * batch, or `LEAST_ANSWER` tokens after a prompt that leaves less of that share. Claims of the
 * whole memory would make such requests wait for each other. This does not depend on who else is in
 * the batch, so the same request always gets the same answer.
 *
 * @param longest the tokens of its longest prompt
 * @param rows its rows
 */
export function mostTokens(
  maxTokens: number | null,
  {
    longest,
    rows,
    contextLength,
    memory,
  }: { longest: number; rows: number; contextLength: number; memory: KvMemory | null },
): number {
  const room = contextLength - longest;
  if (maxTokens !== null || memory === null) return Math.min(maxTokens ?? room, room);
  const alone = longestRows(memory, rows) - longest;
  const share = memory.longest.at(-1)! - longest;
  return Math.min(room, alone, Math.max(share, LEAST_ANSWER));
}

/** The most tokens that each of so many rows may have, if they are alone. */
export const longestRows = ({ longest }: KvMemory, rows: number): number => longest[rows - 1] ?? 0;
