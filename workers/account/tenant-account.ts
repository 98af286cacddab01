/**
 * One tenant's account, as a Durable Object of its own: a ledger over its own database, and an
 * alarm that carries usage to the queue, sends alerts and lets leases run out.
 */
import { DurableObject } from 'cloudflare:workers';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type {
  AccountStatement,
  Ask,
  Growth,
  Limits,
  Settlement,
  TenantAccountContract,
  Verdict,
} from '../objects/tenant-account-contract.ts';
import type { UsageDatabase } from '../objects/usage-database.ts';
import { logError, logInfo } from '../request/log.ts';
import { type Alerts, createAlerts } from './alerts.ts';
import { createLedger, LEASE_MS } from './ledger.ts';
import type { Ledger } from './ledger-contract.ts';
import { createOutbox, type Outbox, type UsageQueue } from './outbox.ts';
import { type AlertEnv, type AlertSettings, readAlertSettings, sendAlert } from './send-alert.ts';
import { readStatement } from './statement.ts';
import { migrate, type Store } from './store.ts';
import { eraseUsage, reviveUsage } from './usage-table.ts';

export type AccountEnv = AlertEnv & { USAGE_QUEUE?: UsageQueue; USAGE_DB?: UsageDatabase };

type Parts = {
  ledger: Ledger;
  outbox: Outbox | null;
  alerts: { alerts: Alerts; settings: AlertSettings } | null;
  salt: string;
};

/**
 * How long what was decided in memory may gather before it is written. Each write blocks the object
 * for as long as the disk takes, and a confirmation writes at once what has gathered.
 */
const WRITE_MS = 25;
/** How long usage gathers before it goes to the queue. */
const GATHER_MS = 500;
/** Each has up to 100 events. A busy tenant has many more than one message can take. */
const MESSAGES_PER_ALARM = 20;
/** How long we wait after the queue did not take something. */
const QUEUE_RETRY_MS = 5_000;

let hasSaidNoUsage = false;

export class TenantAccount extends DurableObject<AccountEnv> implements TenantAccountContract {
  readonly #store: Store;
  /** Made anew when the account is erased. */
  #parts: Parts;
  /** Whether its tenant was erased. */
  #erased: boolean;
  /** On the runtime's clock. null: not known to be set. */
  #alarmAt: number | null = null;

  constructor(ctx: DurableObjectState, env: AccountEnv) {
    super(ctx, env);
    const { sql } = ctx.storage;
    const store: Store = {
      // The cast: SQLite's rows are what the query says. A cursor has more than we use.
      exec: ((query: string, ...bindings: (string | number | null)[]) => sql.exec(query, ...bindings)) as Store['exec'],
      transaction: (work) => ctx.storage.transactionSync(work),
    };
    migrate(store);
    this.#store = store;
    if (env.USAGE_QUEUE === undefined && !hasSaidNoUsage) {
      hasSaidNoUsage = true;
      logInfo({ event: 'usage-not-kept', because: 'the deployment has no queue USAGE_QUEUE' });
    }
    this.#parts = this.#makeParts();
    this.#erased = this.#fact('erased', () => '') !== '';
    this.#armForWork();
  }

  #makeParts(): Parts {
    const store = this.#store;
    const now = () => this.now();
    const { USAGE_QUEUE: queue } = this.env;
    const outbox = queue === undefined ? null : createOutbox({ store, queue });
    const settings = readAlertSettings(this.env);
    const alerts = settings && { settings, alerts: createAlerts({ store, shares: settings.shares, now }) };
    const ledger = createLedger({
      store,
      now,
      keepUsage: (event) => outbox?.put(event),
      onBudget: (budget) => alerts?.alerts.note(budget),
    });
    return { outbox, alerts, ledger, salt: this.#fact('salt', () => crypto.randomUUID()) };
  }

  async erase(tenant: string): Promise<void> {
    this.#erased = true;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    migrate(this.#store);
    this.#facts.clear();
    this.#alarmAt = null;
    this.#parts = this.#makeParts();
    this.#fact('erased', () => new Date().toISOString());
    if (this.env.USAGE_DB !== undefined) await eraseUsage(tenant, this.env.USAGE_DB);
  }

  async revive(tenant: string): Promise<void> {
    if (!this.#erased) return;
    if (this.env.USAGE_DB !== undefined) await reviveUsage(tenant, this.env.USAGE_DB);
    this.#store.exec("DELETE FROM facts WHERE name = 'erased'");
    this.#facts.delete('erased');
    this.#erased = false;
  }

  /** Tests have a clock of their own. */
  protected now(): number {
    return Date.now();
  }

  async reserve({ spender: { tenant, ...spender }, prompt, idempotency, ...ask }: Ask): Promise<Verdict> {
    this.#demandOpen();
    const salted = {
      prompt: ask.limits.tries_per_prompt_per_minute === null ? null : await this.#salted(prompt),
      idempotency: idempotency && {
        key: await this.#salted(JSON.stringify([spender.key, idempotency.key])),
        body: await this.#salted(idempotency.body),
      },
    };
    // It may have been erased meanwhile.
    this.#demandOpen();
    // Whatever becomes of the caller, what was granted is written.
    this.ctx.waitUntil(this.#written(tenant));
    return this.#guard(() => this.#parts.ledger.reserve({ ...ask, ...salted, spender }));
  }

  #demandOpen(): void {
    if (this.#erased) throw new Error('the account was erased with its tenant');
  }

  async confirm(id: string): Promise<boolean> {
    if (this.#erased) return false;
    return this.#do(null, () => this.#parts.ledger.confirm(id));
  }

  async grow(id: string, tokens: number, limits: Limits): Promise<Growth> {
    if (this.#erased) return { outcome: 'lapsed' };
    return this.#do(null, () => this.#parts.ledger.grow(id, tokens, limits));
  }

  async renew(ids: readonly string[]): Promise<void> {
    if (this.#erased) return;
    this.#do(null, () => this.#parts.ledger.renew(ids));
  }

  async settle({ spender: { tenant, ...spender }, ...settlement }: Settlement): Promise<void> {
    if (this.#erased) return;
    this.#guard(() => this.#parts.ledger.settle({ ...settlement, spender }));
    await this.#written(tenant);
  }

  async statement(): Promise<AccountStatement> {
    // What was decided in memory counts.
    if (!this.#erased) this.#do(null, () => this.#parts.ledger.save());
    return readStatement(this.#store, { now: this.now(), shares: this.#parts.alerts?.settings.shares ?? null });
  }

  #writing: Promise<void> | null = null;

  /**
   * Resolves once all that was decided before is written. Those that wait at the same time share
   * one write. It waits for a timer, because an answer of the object waits for every write that was
   * begun before it.
   */
  #written(tenant: string): Promise<void> {
    this.#writing ??= scheduler.wait(WRITE_MS).then(() => {
      this.#writing = null;
      if (!this.#erased) this.#do(tenant, () => this.#parts.ledger.save());
    });
    return this.#writing;
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    // The ledger first, and nobody waits for anybody: a receiver of alerts may take its ten
    // seconds. Not by `#do`, which arms the alarm again: an account with nothing to do would ring
    // for ever.
    const tidied = this.#guard(() => {
      this.#parts.alerts?.alerts.tidy();
      return this.#parts.ledger.tidy();
    });
    const waits = [tidied, ...(await Promise.all([this.#sendUsage(), this.#sendAlerts()]))];
    for (const wait of waits) if (wait !== null) this.#arm(wait);
  }

  /** Work that may write. It also sees to it that the alarm rings in time. */
  #do<T>(tenant: string | null, work: () => T): T {
    return this.#guard(() => {
      if (tenant !== null && !this.#erased) this.#fact('tenant', () => tenant);
      const result = work();
      this.#arm(LEASE_MS);
      this.#armForWork();
      return result;
    });
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      // Memory and database may differ now. A new object reads what was written.
      logError({ event: 'account-failed', cause: error });
      this.ctx.abort('the ledger failed');
      throw error;
    }
  }

  #armForWork(): void {
    if (this.#parts.outbox?.isEmpty() === false) this.#arm(GATHER_MS);
    const wait = this.#parts.alerts?.alerts.wait() ?? null;
    if (wait !== null) this.#arm(wait);
  }

  /** Makes sure that the alarm rings in `wait` ms or earlier. */
  #arm(wait: number): void {
    const at = Date.now() + wait;
    if (this.#alarmAt !== null && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    // Nothing waits for it: an answer leaves the object only after all its writes are on disk.
    void this.ctx.storage.setAlarm(at);
  }

  async #sendUsage(): Promise<number | null> {
    if (this.#parts.outbox === null) return null;
    try {
      for (let sent = 0; sent < MESSAGES_PER_ALARM && !this.#parts.outbox.isEmpty(); sent++) {
        await this.#parts.outbox.send(this.#tenant());
      }
      return this.#parts.outbox.isEmpty() ? null : 0;
    } catch (cause) {
      logError({ event: 'usage-not-sent', tenant: this.#tenant(), cause });
      return QUEUE_RETRY_MS;
    }
  }

  async #sendAlerts(): Promise<number | null> {
    if (this.#parts.alerts === null) return null;
    const { alerts, settings } = this.#parts.alerts;
    const tenant = this.#tenant();
    await Promise.all(
      alerts.due().map(async (alert) => {
        try {
          await sendAlert(alert, { tenant, ...settings, fetch: (input, init) => fetch(input, init) });
          alerts.delivered(alert);
        } catch (cause) {
          const goesOn = alerts.failed(alert);
          logError({ event: goesOn ? 'alert-not-sent' : 'alert-given-up', tenant, window: alert.window, cause });
        }
      }),
    );
    return alerts.wait();
  }

  #tenant(): string {
    return this.#fact('tenant', () => '');
  }

  readonly #facts = new Map<string, string>();

  /** What is written once and never changes. */
  #fact(name: string, make: () => string): string {
    const known = this.#facts.get(name);
    if (known !== undefined) return known;
    const [row] = this.#store.exec<{ value: string }>('SELECT value FROM facts WHERE name = ?', name).toArray();
    const value = row?.value ?? make();
    if (value === '') return value;
    if (row === undefined) this.#store.exec('INSERT INTO facts (name, value) VALUES (?, ?)', name, value);
    this.#facts.set(name, value);
    return value;
  }

  /** A digest that is good in this account only, so nobody can look up what was sent. */
  async #salted(text: string): Promise<string> {
    return (await sha256Hex(`${this.#parts.salt}:${text}`)).slice(0, 32);
  }
}
