/**
 * Tells the witness of each entry of the deployment's audit log. A change does not fail if the
 * witness is away: revoking a key must not wait for it. Then an alarm tells it later.
 */
import { type AuditHead, NO_AUDIT } from './audit-chain.ts';
import { AUDIT_PAGE, auditHead, auditPage } from './audit-rows.ts';
import { type AuditWitnessBinding, auditWitness } from './audit-witness-contract.ts';

/** How long a change waits for the witness. */
const PATIENCE_MS = 2_000;
/** How soon the alarm rings if the object crashes between its own change and telling of it. */
const TELL_AFTER_MS = 10_000;
/** How soon it is tried again if that fails. */
const TELL_AGAIN_MS = 60_000;

export type WitnessTeller = {
  /** Call this with the change itself, before anything is awaited. */
  owe(): void;
  /** Waits until the witness knows the end of the log, or for as long as a change may wait. */
  tellSoon(): Promise<void>;
  /** The same for whoever needs it: waits, and throws if the witness cannot be reached. */
  tell(): Promise<AuditHead | null>;
  alarm(): Promise<void>;
};

export function createWitnessTeller(storage: DurableObjectStorage, env: AuditWitnessBinding): WitnessTeller {
  const { sql } = storage;
  /** What the witness knew last. */
  let known: AuditHead | null = null;

  async function tell(): Promise<AuditHead | null> {
    const witness = auditWitness(env);
    if (witness === null) return null;
    known ??= await witness.head();
    // A log that is older than its witness: its last entry stands for all before it.
    if (known.seq === NO_AUDIT.seq) known = await witness.follow(auditPage(sql, auditHead(sql).seq - 1));
    for (let page = auditPage(sql, known.seq); page.length > 0; page = auditPage(sql, known.seq)) {
      const { seq }: AuditHead = known;
      known = await witness.follow(page);
      // They do not follow: the log was cut and has grown again. The witness keeps what it knows.
      if (known.seq === seq || page.length < AUDIT_PAGE) break;
    }
    if (known.seq >= auditHead(sql).seq) await storage.deleteAlarm();
    return known;
  }

  return {
    owe() {
      if (env.AUDIT_WITNESS !== undefined) void storage.setAlarm(Date.now() + TELL_AFTER_MS);
    },
    async tellSoon() {
      await Promise.race([tell().catch(() => undefined), scheduler.wait(PATIENCE_MS)]);
    },
    tell,
    async alarm() {
      try {
        await tell();
      } catch (cause) {
        // One line of the log, as request/log.ts writes it; that folder imports this one.
        console.error(JSON.stringify({ level: 'error', event: 'witness-not-told', because: String(cause) }));
        await storage.setAlarm(Date.now() + TELL_AGAIN_MS);
      }
    },
  };
}
