/**
 * Requests that are sent again under one `Idempotency-Key`. All of them together are charged what
 * the most expensive has cost, so a repeat has credit: what the others have paid.
 */
import type { Store } from './store.ts';

/** How long an `Idempotency-Key` holds. */
const KEEP_MS = 24 * 60 * 60_000;
/**
 * How often a request with an `Idempotency-Key` may be repeated without being charged again. Each
 * time it is worked on again, so a key must not be a ticket for any amount of work.
 */
export const FREE_REPEATS = 3;

/** Of the latest request with a key. `paid` is of all of them together. */
type Remembered = { key: string; body: string; request: string; paid: number; repeats: number; at: number };

export function createRepeats({ exec }: Store) {
  const find = (key: string): Remembered | undefined =>
    exec<Remembered>('SELECT * FROM idempotency WHERE key = ?', key).toArray()[0];

  /** What a further request with this key need not pay. */
  function creditOf({ paid, repeats }: Pick<Remembered, 'paid' | 'repeats'>, more: 0 | 1): number {
    return repeats + more > FREE_REPEATS ? 0 : paid;
  }

  return {
    creditOf,
    /** What is known of a key; null if nothing is, or if that was long ago. */
    recall(key: string, time: number): Remembered | null {
      const row = find(key);
      return row === undefined || time - row.at >= KEEP_MS ? null : row;
    },
    /** @param repeats null: the request is the first with its key */
    remember(
      { key, body }: { key: string; body: string },
      { id, repeats, time }: { id: string; repeats: number | null; time: number },
    ): void {
      if (repeats !== null) {
        exec('UPDATE idempotency SET request = ?, repeats = ? WHERE key = ?', id, repeats, key);
        return;
      }
      exec(
        'INSERT OR REPLACE INTO idempotency (key, body, request, paid, repeats, at) VALUES (?, ?, ?, 0, 0, ?)',
        ...[key, body, id, time],
      );
    },
    /** Notes what a request has cost in all. */
    paid(key: string, total: number): void {
      exec('UPDATE idempotency SET paid = MAX(paid, ?) WHERE key = ?', total, key);
    },
    /**
     * What others with the same key have paid so far. If a request's lease ran out, that can be
     * more than its credit when it began.
     */
    paidBefore({ credit, idempotency }: { credit: number; idempotency: string | null }): number {
      if (idempotency === null) return 0;
      const row = find(idempotency);
      return row === undefined ? credit : Math.max(credit, creditOf(row, 0));
    },
    tidy(time: number): void {
      exec('DELETE FROM idempotency WHERE at <= ?', time - KEEP_MS);
    },
  };
}
