/**
 * The tokens that a request's rows have yet to read before its next token can be drawn, handed out
 * in pieces.
 *
 * Rows with prompts of their own have different lengths. They end together: a longer row reads
 * alone until as much is left of it as of the others. So the last piece has a token for every row,
 * and the rows that are compared come out of the same run. No piece crosses from the prompt into
 * the answer, or from one set of bounds into another.
 */
import type { Feed } from './answer-feeds.ts';
import type { Source } from './experts.ts';

export class Unread {
  #parts: Feed[];

  constructor(parts: readonly Feed[]) {
    this.#parts = parts.filter((part) => longestOf(part) > 0);
  }

  /** How many tokens the longest row has yet to read. */
  get length(): number {
    return this.#parts.reduce((sum, part) => sum + longestOf(part), 0);
  }

  /** How many tokens this row has yet to read. */
  of(source: Source): number {
    return this.#parts.reduce((sum, { rows }) => sum + (rows[source]?.length ?? 0), 0);
  }

  /** Leaves out a row's first tokens, which it has read before. */
  skip(source: Source, count: number): void {
    let left = count;
    this.#parts = this.#parts
      .map((part) => {
        const ids = part.rows[source] ?? [];
        const skipped = Math.min(left, ids.length);
        left -= skipped;
        return { ...part, rows: { ...part.rows, [source]: ids.slice(skipped) } };
      })
      .filter((part) => longestOf(part) > 0);
  }

  /** Leaves out a row that will read no more. */
  forget(source: Source): void {
    this.#parts = this.#parts
      .map((part) => ({ ...part, rows: { ...part.rows, [source]: [] } }))
      .filter((part) => longestOf(part) > 0);
  }

  /** Takes the next tokens, at most `most` of each row. */
  take(most: number): Feed {
    const part = this.#parts[0];
    if (!part) throw new Error('every token has been read');
    const left = Math.max(0, longestOf(part) - most);
    const split = (pick: (ids: readonly number[], at: number) => readonly number[]): Feed => ({
      ...part,
      rows: mapRows(part.rows, (ids) => pick(ids, Math.max(0, ids.length - left))),
    });
    if (left === 0) this.#parts.shift();
    else this.#parts[0] = split((ids, at) => ids.slice(at));
    return split((ids, at) => ids.slice(0, at));
  }
}

const longestOf = ({ rows }: Feed) => Math.max(0, ...Object.values(rows).map(({ length }) => length));

function mapRows(rows: Feed['rows'], map: (ids: readonly number[]) => readonly number[]): Feed['rows'] {
  // Object.entries forgets that the keys are sources.
  const entries = Object.entries(rows) as [Source, readonly number[]][];
  return Object.fromEntries(entries.map(([source, ids]) => [source, map(ids)]));
}
