/**
 * Tells the witness of each entry of the deployment's audit log. A change does not fail if the
 * witness is away: then an alarm tells it later. This file uses no platform type.
 */
import { type AuditEntry, type AuditHead, NO_AUDIT } from './audit-chain.ts';
import type { AuditWitnessContract } from './audit-witness-contract.ts';
import { createExclusive } from './exclusive.ts';

/** How long a change waits for the witness. */
const PATIENCE_MS = 2_000;
/** After that, a call to the witness has failed. One that hangs holds up no later one. */
const CALL_MS = 30_000;
/** How soon the alarm rings if the object crashes between its own change and telling of it. */
const TELL_AFTER_MS = 10_000;
/** How soon it is tried again if that fails. */
const TELL_AGAIN_MS = 60_000;

/** The log whose end is told, and the alarm of the object that has it. */
export type WitnessedLog = {
  head(): AuditHead;
  /** Some entries, in order, from the one after `after`. */
  page(after: number): AuditEntry[];
  /** `at` is in milliseconds since 1970. */
  setAlarm(at: number): Promise<void>;
  deleteAlarm(): Promise<void>;
};

/** Waits for some milliseconds; rejects once the signal is aborted. */
export type Wait = (ms: number, options: { signal: AbortSignal }) => Promise<void>;

export type WitnessTeller = {
  /** Call this with the change itself, before anything is awaited. */
  owe(): void;
  /** Waits until the witness knows the end of the log, or for as long as a change may wait. */
  tellSoon(): Promise<void>;
  /** The same for whoever needs it: waits, and throws if the witness cannot be reached. */
  tell(): Promise<AuditHead | null>;
  alarm(): Promise<void>;
};

/** Without a witness it tells nobody. */
export function createWitnessTeller(
  log: WitnessedLog,
  { witness, wait }: { witness: AuditWitnessContract | null; wait: Wait },
): WitnessTeller {
  const exclusive = createExclusive();
  /** What the witness knew last. */
  let known: AuditHead | null = null;
  /** The telling that has not begun yet. It will read every entry that there is by now. */
  let next: Promise<AuditHead | null> | null = null;

  async function within<T>(ms: number, result: Promise<T>): Promise<T> {
    const done = new AbortController();
    const late = wait(ms, { signal: done.signal }).then(() => {
      throw new Error(`the witness did not answer within ${ms / 1000} seconds`);
    });
    try {
      return await Promise.race([result, late]);
    } finally {
      done.abort();
    }
  }

  async function tellAll(): Promise<AuditHead | null> {
    if (witness === null) return null;
    const follow = (page: AuditEntry[]) => within(CALL_MS, witness.follow(page));
    known ??= await within(CALL_MS, witness.head());
    // A log that is older than its witness: its last entry stands for all before it.
    if (known.seq === NO_AUDIT.seq) known = await follow(log.page(log.head().seq - 1));
    for (let page = log.page(known.seq); page.length > 0; page = log.page(known.seq)) {
      const { seq }: AuditHead = known;
      known = await follow(page);
      // They do not follow: the log was cut and has grown again. The witness keeps what it knows.
      if (known.seq === seq) break;
    }
    if (known.seq >= log.head().seq) await log.deleteAlarm();
    return known;
  }

  /** One after another, so no page is told twice. Whoever comes before one begins shares it. */
  function tell(): Promise<AuditHead | null> {
    next ??= exclusive(() => {
      next = null;
      return tellAll();
    });
    return next;
  }

  return {
    owe() {
      if (witness !== null) void log.setAlarm(Date.now() + TELL_AFTER_MS);
    },
    async tellSoon() {
      await within(PATIENCE_MS, tell()).catch(() => undefined);
    },
    tell,
    async alarm() {
      try {
        await tell();
      } catch (cause) {
        // One line of the log, as request/log.ts writes it; that folder imports this one.
        console.error(JSON.stringify({ level: 'error', event: 'witness-not-told', because: String(cause) }));
        await log.setAlarm(Date.now() + TELL_AGAIN_MS);
      }
    },
  };
}
