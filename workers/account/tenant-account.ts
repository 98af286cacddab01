/**
 * One tenant's account, as a Durable Object of its own: a ledger over its own database, and an
 * alarm that carries usage to the queue, sends alerts and lets leases run out.
 */
import { DurableObject } from 'cloudflare:workers';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type {
  Ask,
  Growth,
  Limits,
  Settlement,
  TenantAccountContract,
  Verdict,
} from '../objects/tenant-account-contract.ts';
import { logError, logInfo } from '../request/log.ts';
import { type Alerts, createAlerts } from './alerts.ts';
import { createLedger, LEASE_MS, type Ledger } from './ledger.ts';
import { createOutbox, type Outbox, type UsageQueue } from './outbox.ts';
import { type AlertEnv, type AlertSettings, readAlertSettings, sendAlert } from './send-alert.ts';
import { migrate, type Store } from './store.ts';

export type AccountEnv = AlertEnv & { USAGE_QUEUE?: UsageQueue };

/** How long usage gathers before it goes to the queue. */
const GATHER_MS = 500;
/** How long we wait after the queue did not take something. */
const QUEUE_RETRY_MS = 5_000;

let hasSaidNoUsage = false;

export class TenantAccount extends DurableObject<AccountEnv> implements TenantAccountContract {
  readonly #store: Store;
  readonly #ledger: Ledger;
  readonly #outbox: Outbox | null;
  readonly #alerts: { alerts: Alerts; settings: AlertSettings } | null;
  readonly #salt: string;
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
    const now = () => this.now();
    const settings = readAlertSettings(env);
    migrate(store);
    this.#store = store;
    this.#outbox = env.USAGE_QUEUE === undefined ? null : createOutbox({ store, queue: env.USAGE_QUEUE });
    if (this.#outbox === null && !hasSaidNoUsage) {
      hasSaidNoUsage = true;
      logInfo({ event: 'usage-not-kept', because: 'the deployment has no queue USAGE_QUEUE' });
    }
    this.#ledger = createLedger({
      store,
      now,
      keepUsage: (event) => this.#outbox?.put(event),
      onBudget: (budget) => this.#alerts?.alerts.note(budget),
    });
    this.#alerts = settings && { settings, alerts: createAlerts({ store, shares: settings.shares, now }) };
    this.#salt = this.#fact('salt', () => crypto.randomUUID());
    this.#armForWork();
  }

  /** Tests have a clock of their own. */
  protected now(): number {
    return Date.now();
  }

  async reserve({ spender: { tenant, ...spender }, prompt, idempotency, ...ask }: Ask): Promise<Verdict> {
    const salted = {
      prompt: ask.limits.tries_per_prompt_per_minute === null ? null : await this.#salted(prompt),
      idempotency: idempotency && {
        key: await this.#salted(JSON.stringify([spender.key, idempotency.key])),
        body: await this.#salted(idempotency.body),
      },
    };
    // Whatever becomes of the caller, what was granted is written. A timer, because an answer waits
    // for every write that was begun before it.
    this.ctx.waitUntil(scheduler.wait(0).then(() => this.#do(tenant, () => this.#ledger.save())));
    return this.#guard(() => this.#ledger.reserve({ ...ask, ...salted, spender }));
  }

  async confirm(id: string): Promise<boolean> {
    return this.#do(null, () => this.#ledger.confirm(id));
  }

  async grow(id: string, tokens: number, limits: Limits): Promise<Growth> {
    return this.#do(null, () => this.#ledger.grow(id, tokens, limits));
  }

  async renew(ids: readonly string[]): Promise<void> {
    this.#do(null, () => this.#ledger.renew(ids));
  }

  async settle({ spender: { tenant, ...spender }, ...settlement }: Settlement): Promise<void> {
    this.#do(tenant, () => this.#ledger.settle({ ...settlement, spender }));
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    const waits = [await this.#sendUsage(), await this.#sendAlerts(), this.#do(null, () => this.#ledger.tidy())];
    for (const wait of waits) if (wait !== null) this.#arm(wait);
  }

  /** Work that may write. It also sees to it that the alarm rings in time. */
  #do<T>(tenant: string | null, work: () => T): T {
    return this.#guard(() => {
      if (tenant !== null) this.#fact('tenant', () => tenant);
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
    if (this.#outbox?.isEmpty() === false) this.#arm(GATHER_MS);
    const wait = this.#alerts?.alerts.wait() ?? null;
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
    if (this.#outbox === null) return null;
    try {
      await this.#outbox.send(this.#tenant());
      return this.#outbox.isEmpty() ? null : 0;
    } catch (cause) {
      logError({ event: 'usage-not-sent', tenant: this.#tenant(), cause });
      return QUEUE_RETRY_MS;
    }
  }

  async #sendAlerts(): Promise<number | null> {
    if (this.#alerts === null) return null;
    const { alerts, settings } = this.#alerts;
    const tenant = this.#tenant();
    for (const alert of alerts.due()) {
      try {
        await sendAlert(alert, { tenant, ...settings, fetch: (input, init) => fetch(input, init) });
        alerts.delivered(alert);
      } catch (cause) {
        const goesOn = alerts.failed(alert);
        logError({ event: goesOn ? 'alert-not-sent' : 'alert-given-up', tenant, window: alert.window, cause });
      }
    }
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
    return (await sha256Hex(`${this.#salt}:${text}`)).slice(0, 32);
  }
}
