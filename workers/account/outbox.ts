/**
 * Usage on its way to the queue. An event is written in the same transaction as the charge that it
 * tells of, and deleted once the queue has it. So it arrives at least once, whatever crashes;
 * whoever counts has to count each request once.
 */
import type { UsageEvent } from './ledger-contract.ts';
import type { Store } from './store.ts';

/** The most events in one message, which may have 128 KB. */
const MAX_EVENTS = 100;

export type UsageMessage = { tenant: string; events: UsageEvent[] };
/** The part of a queue that we use. */
export type UsageQueue = { send(message: UsageMessage): Promise<unknown> };

export type Outbox = {
  put(event: UsageEvent): void;
  isEmpty(): boolean;
  /** Sends one message. Throws if the queue does not take it. */
  send(tenant: string): Promise<void>;
};

export function createOutbox({ store: { exec }, queue }: { store: Store; queue: UsageQueue }): Outbox {
  const count = () => exec<{ count: number }>('SELECT COUNT(*) AS count FROM outbox').toArray()[0]?.count ?? 0;
  let waiting = count();

  return {
    put(event) {
      exec('INSERT INTO outbox (event) VALUES (?)', JSON.stringify(event));
      waiting++;
    },
    isEmpty: () => waiting === 0,
    async send(tenant) {
      const rows = exec<{ seq: number; event: string }>(
        'SELECT seq, event FROM outbox ORDER BY seq LIMIT ?',
        MAX_EVENTS,
      ).toArray();
      const last = rows.at(-1);
      if (last === undefined) return;
      // The cast: `put` wrote it.
      await queue.send({ tenant, events: rows.map(({ event }) => JSON.parse(event) as UsageEvent) });
      exec('DELETE FROM outbox WHERE seq <= ?', last.seq);
      waiting = count();
    },
  };
}
