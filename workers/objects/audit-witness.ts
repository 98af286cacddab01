/**
 * Remembers where the deployment's audit log ends. The log is in `TenantIndex`, and a chain of
 * hashes cannot show by itself that its end was cut off, so somebody else has to know that end:
 * this object, which has a database of its own and holds nothing but one head. It goes on only to
 * entries that follow, so a log that was cut and has grown again is never taken for the old one.
 */
import { DurableObject } from 'cloudflare:workers';
import { type AuditEntry, type AuditHead, NO_AUDIT, witnessed } from './audit-chain.ts';
import type { AuditWitnessContract } from './audit-witness-contract.ts';
import { createExclusive } from './exclusive.ts';
import { migrate } from './migrate.ts';

const STEPS: readonly string[] = [
  // One row at most.
  'CREATE TABLE head (seq INTEGER NOT NULL, hash TEXT NOT NULL);',
];

export class AuditWitness extends DurableObject implements AuditWitnessContract {
  readonly #sql: SqlStorage;
  readonly #exclusive = createExclusive();

  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrate(ctx.storage, STEPS);
  }

  async head(): Promise<AuditHead> {
    return this.#head();
  }

  async follow(entries: readonly AuditEntry[]): Promise<AuditHead> {
    return this.#exclusive(async () => {
      const known = this.#head();
      const head = await witnessed(known, entries);
      if (head === known) return known;
      this.ctx.storage.transactionSync(() => {
        this.#sql.exec('DELETE FROM head');
        this.#sql.exec('INSERT INTO head (seq, hash) VALUES (?, ?)', head.seq, head.hash);
      });
      return head;
    });
  }

  #head(): AuditHead {
    return this.#sql.exec<AuditHead>('SELECT seq, hash FROM head').toArray()[0] ?? NO_AUDIT;
  }
}
