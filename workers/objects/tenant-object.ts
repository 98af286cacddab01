/**
 * All that is true of one tenant: its policies' versions, its keys, its audit log. One object for
 * each tenant, made when it is first asked.
 *
 * Every change goes the same way, one at a time. First the object notes that it is about to change
 * something. Then it asks the index for what it needs there (the keys must be nobody else's). Then
 * it changes itself, in one transaction. Then it tells the index what is true now, and takes the
 * note away. A crash in between leaves the note, and the object tells the index again: before its
 * next change, or when its alarm goes off. Until then a key that the index knows and the object
 * does not is nobody's, and opens nothing.
 */
import { DurableObject } from 'cloudflare:workers';
import { adoptOldTenant } from './adopt-old-tenant.ts';
import type { Applied, Known } from './applied.ts';
import { applyChange, restore } from './apply-change.ts';
import {
  type AuditEntry,
  chainEvents,
  NO_AUDIT,
  problemAfter,
  verifyChain,
  type WitnessedVerdict,
} from './audit-chain.ts';
import { AUDIT_PAGE, auditHead, auditPage, latestAudit, readAudit, writeAudit } from './audit-rows.ts';
import { refusalOfClaim } from './claim-refusal.ts';
import { createExclusive } from './exclusive.ts';
import { type IfMatch, mismatch } from './if-match.ts';
import { type LiveTrafficBinding, liveTraffic } from './live-traffic-contract.ts';
import { migrate } from './migrate.ts';
import { adoptStaged, clearStaged, readStaged, writeStaged } from './staged-history.ts';
import { type TenantAccountBinding, tenantAccount } from './tenant-account-contract.ts';
import {
  type ChangeResult,
  type Claim,
  type HistoryPart,
  type PolicyHistory,
  type TenantBackup,
  type TenantIndexBinding,
  type TenantObjectContract,
  type TenantStoreBinding,
  type TenantView,
  tenantIndex,
  tenantStore,
} from './tenant-contracts.ts';
import { readBackup, readHistory, readHistoryPart, readKnown, readPolicy } from './tenant-history.ts';
import type { TenantSnapshot } from './tenant-record.ts';
import { type TenantResponsesBinding, tenantResponses } from './tenant-responses-contract.ts';
import { DATA_TABLES, readState, TENANT_STEPS, writeActivation, writePolicy, writeState } from './tenant-rows.ts';
import { readSnapshot, readView } from './tenant-snapshot.ts';
import type { Refusal, TenantChange, TenantState } from './tenant-state.ts';
import { type TenantTrafficBinding, tenantTraffic } from './tenant-traffic-contract.ts';

type ObjectEnv = TenantIndexBinding &
  TenantStoreBinding &
  TenantAccountBinding &
  TenantTrafficBinding &
  LiveTrafficBinding &
  TenantResponsesBinding;

export class TenantObject extends DurableObject<ObjectEnv> implements TenantObjectContract {
  /** How soon what a crash left half done is finished, if nobody comes before. */
  protected readonly healAfterMs: number = 10_000;
  /** How soon it is tried again if that fails. */
  protected readonly healAgainMs: number = 60_000;
  /** How long a history waits to be restored, after its last part. */
  protected readonly stagedStaysMs: number = 60 * 60_000;
  readonly #sql: SqlStorage;
  readonly #exclusive = createExclusive();
  #adopting: Promise<void> | undefined;
  #verifying: Promise<WitnessedVerdict> | undefined;

  constructor(ctx: DurableObjectState, env: ObjectEnv) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrate(ctx.storage, TENANT_STEPS);
  }

  async resolveKey(tenant: string, keySha256: string): Promise<TenantSnapshot | null> {
    await this.#adopted(tenant);
    return readSnapshot(this.#sql, tenant, keySha256);
  }

  async read(tenant: string): Promise<TenantView | null> {
    await this.#adopted(tenant);
    return readView(this.#sql, tenant, readState(this.#sql));
  }

  async change(
    tenant: string,
    change: TenantChange,
    { actor, ifMatch }: { actor: string; ifMatch: IfMatch },
  ): Promise<ChangeResult> {
    await this.#adopted(tenant);
    return this.#exclusive(() => {
      return this.#commit(tenant, { actor, ifMatch, apply: (state, known) => applyChange(state, change, known) });
    });
  }

  async erase(tenant: string, { actor, ifMatch }: { actor: string; ifMatch: IfMatch }): Promise<ChangeResult> {
    await this.#adopted(tenant);
    return this.#exclusive(async () => {
      const apply = (state: TenantState | null, known: Known) => applyChange(state, { type: 'erase' }, known);
      const result = await this.#commit(tenant, { actor, ifMatch, apply, erasing: true });
      if (result.refused === null) await this.#settle(tenant);
      return result;
    });
  }

  async finishErasure(tenant: string): Promise<boolean> {
    await this.#adopted(tenant);
    return this.#exclusive(async () => {
      if (this.#noted()?.erasing !== 1) return false;
      await this.#settle(tenant);
      // It may have crashed before it erased anything. Then nothing was under way.
      return readState(this.#sql) === null;
    });
  }

  async heal(tenant: string): Promise<void> {
    await this.#adopted(tenant);
    await this.#exclusive(() => this.#settle(tenant));
  }

  override async alarm(): Promise<void> {
    const [row] = this.#sql.exec<{ tenant: string }>('SELECT tenant FROM unsettled').toArray();
    if (row === undefined) {
      await this.#exclusive(async () => clearStaged(this.#sql));
      return;
    }
    try {
      await this.heal(row.tenant);
    } catch (cause) {
      // An alarm that throws is tried again a few times and then never. The index may be away
      // longer. One line of the log, as request/log.ts writes it; that folder imports this one.
      const entry = { level: 'error', event: 'not-healed', tenant: row.tenant, because: String(cause) };
      console.error(JSON.stringify(entry));
      await this.ctx.storage.setAlarm(Date.now() + this.healAgainMs);
    }
  }

  async history(tenant: string): Promise<PolicyHistory | null> {
    await this.#adopted(tenant);
    if (readState(this.#sql) === null) return null;
    return readHistory(this.#sql);
  }

  async policy(tenant: string, version: string): Promise<{ document: string; created_at: string } | null> {
    await this.#adopted(tenant);
    return readPolicy(this.#sql, version);
  }

  async listAudit(tenant: string, options: { limit: number; before: number | null }): Promise<AuditEntry[]> {
    await this.#adopted(tenant);
    return latestAudit(this.#sql, options);
  }

  async verifyAudit(tenant: string): Promise<WitnessedVerdict> {
    await this.#adopted(tenant);
    // Entries are only ever appended, so no change waits for this, however long the log is. Whoever
    // asks meanwhile gets the same verdict.
    this.#verifying ??= this.#verify(tenant).finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  async #verify(tenant: string): Promise<WitnessedVerdict> {
    // The index first: what it knows is in the log already.
    const known = await tenantIndex(this.env).auditHead(tenant);
    return { ...(await verifyChain(readAudit(this.#sql), known)), known };
  }

  async backup(tenant: string): Promise<TenantBackup | null> {
    await this.#adopted(tenant);
    const state = readState(this.#sql);
    if (state === null) return null;
    return readBackup(this.#sql, state);
  }

  async historyPart(tenant: string, after: { audit: number; activations: number }): Promise<HistoryPart> {
    await this.#adopted(tenant);
    return readHistoryPart(this.#sql, after);
  }

  async stage(tenant: string, part: HistoryPart): Promise<Refusal | null> {
    await this.#adopted(tenant);
    return this.#exclusive(async () => {
      // What an erasure has left would go with it.
      await this.#settle(tenant);
      if (part.audit[0]?.seq === 1) clearStaged(this.#sql);
      const problem = await problemAfter(readStaged(this.#sql).audit, part.audit);
      const stranger = part.audit.find((entry) => entry.tenant !== tenant);
      if (problem === null && stranger === undefined) {
        this.ctx.storage.transactionSync(() => writeStaged(this.#sql, part));
        await this.#rest();
        return null;
      }
      clearStaged(this.#sql);
      const why =
        problem === null
          ? `: entry ${stranger?.seq} is about '${stranger?.tenant}', not about '${tenant}'`
          : ` at entry ${problem.seq}: ${problem.why}`;
      return { code: 'invalid_value', message: `The audit log of '${tenant}' is damaged${why}.`, param: 'audit' };
    });
  }

  async restore(tenant: string, backup: TenantBackup, { actor }: { actor: string }): Promise<ChangeResult> {
    await this.#adopted(tenant);
    return this.#exclusive(async () => {
      const apply = (state: TenantState | null, known: Known) =>
        this.#missingOf(tenant, backup) ?? restore(state, { state: backup.state, head: backup.audit.hash }, known);
      try {
        const result = await this.#commit(tenant, { actor, ifMatch: 'any', apply, restoring: backup });
        // An erased tenant that comes back spends again, and so does one whose account was left
        // closed. The note tells it of a change; this is for a restore that has nothing to change.
        if (result.refused === null && !result.changed && result.tenant.deleted_at === null) {
          await tenantAccount(this.env, tenant)?.revive(tenant);
        }
        return result;
      } finally {
        clearStaged(this.#sql);
      }
    });
  }

  /** Asked after an erasure that was under way is finished, which drops what was staged. */
  #missingOf(tenant: string, { audit, activations }: TenantBackup): { refused: Refusal } | null {
    const staged = readStaged(this.#sql);
    if (staged.audit.hash === audit.hash && staged.activations === activations) return null;
    const message = `The history of '${tenant}' is not whole: ${audit.seq} entries of its audit log and ${activations} activations were wanted, and ${staged.audit.seq} and ${staged.activations} were there.`;
    return { refused: { code: 'invalid_value', message, param: 'audit' } };
  }

  /** The one way in which anything changes. Call it exclusively. */
  async #commit(
    tenant: string,
    {
      actor,
      ifMatch,
      apply,
      erasing = false,
      restoring = null,
    }: {
      actor: string;
      ifMatch: IfMatch;
      apply: (state: TenantState | null, known: Known) => Applied;
      erasing?: boolean;
      restoring?: TenantBackup | null;
    },
  ): Promise<ChangeResult> {
    await this.#settle(tenant);
    const before = readState(this.#sql);
    const now = new Date().toISOString();
    const refuse = (refused: Refusal): ChangeResult => ({ refused, current: readView(this.#sql, tenant, before) });
    const applied = apply(before, readKnown(this.#sql, { now, actor }));
    if (applied.refused !== null) return refuse(applied.refused);
    // Whoever names no revision may make what is not there, and what changes nothing.
    const overwrites = before !== null && applied.changed;
    const stale = ifMatch === null && !overwrites ? null : mismatch(ifMatch, before?.revision ?? 0);
    if (stale !== null) return refuse(stale);
    if (!applied.changed) return this.#result(tenant, { changed: false, removedKeys: [] });

    const { state } = applied;
    this.#note(tenant, { erasing, restoring: restoring !== null });
    const claim = { keys: state.keys.map(({ sha256 }) => sha256), plan: state.plan, revive: restoring !== null };
    const refused = await this.#claim(tenant, { ...claim, buried: state.deleted_at !== null });
    if (refused !== null) {
      await this.#forgetNote();
      return refuse(refused);
    }
    const event = { at: now, actor, action: applied.action, tenant, detail: JSON.stringify(applied.detail) };
    // A tenant that is restored where there is none has the log that it had, and nothing more.
    const withAudit = before === null && (restoring?.audit.seq ?? 0) > 0;
    const events = withAudit ? [] : [event];
    const entries = await chainEvents(auditHead(this.#sql), events);
    this.ctx.storage.transactionSync(() => {
      for (const { version, document, created_at } of restoring?.policies ?? []) {
        writePolicy(this.#sql, { version, document }, created_at);
      }
      if (restoring !== null) adoptStaged(this.#sql, { withAudit });
      for (const policy of applied.policies) writePolicy(this.#sql, policy, now);
      if (applied.activation !== null) writeActivation(this.#sql, applied.activation);
      writeState(this.#sql, tenant, state);
      for (const entry of entries) writeAudit(this.#sql, entry);
    });
    const kept = new Set(state.keys.map(({ sha256 }) => sha256));
    const removedKeys = (before?.keys ?? []).map(({ sha256 }) => sha256).filter((key) => !kept.has(key));
    const result = this.#result(tenant, { changed: true, removedKeys });
    // The change is made. If the index cannot be told now, the alarm will do it.
    if (!erasing) await this.#settle(tenant).catch(() => undefined);
    return result;
  }

  async #claim(tenant: string, { buried, ...claim }: Claim & { buried: boolean }): Promise<Refusal | null> {
    if (buried) return null;
    const result = await tenantIndex(this.env).claim(tenant, claim);
    if (result.granted) return null;
    return refusalOfClaim(result, claim);
  }

  #note(tenant: string, { erasing, restoring }: { erasing: boolean; restoring: boolean }): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO unsettled (tenant, erasing, restoring) VALUES (?, ?, ?)',
      ...[tenant, erasing ? 1 : 0, restoring ? 1 : 0],
    );
    void this.ctx.storage.setAlarm(Date.now() + this.healAfterMs);
  }

  #noted(): { erasing: number; restoring: number } | null {
    const query = 'SELECT erasing, restoring FROM unsettled';
    return this.#sql.exec<{ erasing: number; restoring: number }>(query).toArray()[0] ?? null;
  }

  async #forgetNote(): Promise<void> {
    this.#sql.exec('DELETE FROM unsettled');
    await this.#rest();
  }

  /** Sets the alarm while nothing is unsettled: for a history that nobody has restored. */
  async #rest(): Promise<void> {
    const { audit, activations } = readStaged(this.#sql);
    if (audit.seq > 0 || activations > 0) await this.ctx.storage.setAlarm(Date.now() + this.stagedStaysMs);
    else await this.ctx.storage.deleteAlarm();
  }

  /** Tells the index what is true, if it may not know. Doing it twice changes nothing. */
  async #settle(tenant: string): Promise<void> {
    const note = this.#noted();
    if (note === null) return;
    const state = readState(this.#sql);
    // An erasure that broke off after the tenant's own data. The index knows already.
    if (note.erasing === 1 && state === null) return this.#destroy(tenant);
    const index = tenantIndex(this.env);
    const isGone = (state?.deleted_at ?? null) !== null;
    const isErased = isGone && note.erasing === 1;
    const truth = {
      state: state === null ? null : isErased ? ('erased' as const) : isGone ? ('deleted' as const) : ('live' as const),
      keys: (state?.keys ?? []).map(({ sha256 }) => sha256),
      plan: state?.plan ?? null,
    };
    // A call takes 32 MiB, and the log of a tenant that was restored may be longer.
    let audit = auditPage(this.#sql, (await index.auditHead(tenant)).seq);
    do {
      await index.settle(tenant, { ...truth, audit });
      audit = audit.length < AUDIT_PAGE ? [] : auditPage(this.#sql, audit.at(-1)?.seq ?? 0);
    } while (audit.length > 0);
    // Not before the tenant is there: a restore that is refused opens no account.
    if (truth.state === 'live' && note.restoring === 1) await tenantAccount(this.env, tenant)?.revive(tenant);
    if (isErased) return this.#destroy(tenant);
    if (isGone) await this.#eraseKept(tenant);
    await this.#forgetNote();
  }

  /** The tenant's own data first: its account and its usage may be out of reach for a while. */
  async #destroy(tenant: string): Promise<void> {
    await tenantStore(this.env).forgetTenant(tenant);
    this.ctx.storage.transactionSync(() => {
      for (const table of DATA_TABLES) this.#sql.exec(`DELETE FROM ${table}`);
    });
    await this.#eraseKept(tenant);
    await liveTraffic(this.env)?.forget(tenant);
    await tenantAccount(this.env, tenant)?.erase(tenant);
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    migrate(this.ctx.storage, TENANT_STEPS);
  }

  /** What is kept of its traffic. */
  async #eraseKept(tenant: string): Promise<void> {
    await tenantTraffic(this.env, tenant)?.erase();
    await tenantResponses(this.env, tenant)?.erase();
  }

  /** Takes over what the old store held of this tenant, once. */
  #adopted(tenant: string): Promise<void> {
    this.#adopting ??= this.#adopt(tenant).catch((error: unknown) => {
      this.#adopting = undefined;
      throw error;
    });
    return this.#adopting;
  }

  async #adopt(tenant: string): Promise<void> {
    if (this.#sql.exec('SELECT 1 FROM adopted').toArray().length > 0) return;
    const old = await tenantStore(this.env).readTenant(tenant);
    const entries = await chainEvents(NO_AUDIT, old?.audit ?? []);
    this.ctx.storage.transactionSync(() => adoptOldTenant(this.#sql, tenant, { old, entries }));
  }

  #result(tenant: string, outcome: { changed: boolean; removedKeys: string[] }): ChangeResult {
    // A change leaves a tenant, even if it is a deleted one.
    return { refused: null, ...outcome, tenant: readView(this.#sql, tenant, readState(this.#sql))! };
  }
}
