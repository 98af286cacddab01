/**
 * The account with a clock that tests set ahead, and that can be out of reach. Everything else is
 * real.
 */
import { TenantAccount } from '../../account/tenant-account.ts';
import type { Ask, Settlement, TenantAccountBinding, Verdict } from '../../objects/tenant-account-contract.ts';
import type { AccountCall } from './account-call.ts';

/** Not a field: the account asks for the time before its fields are there. */
const aheadMs = new WeakMap<TenantAccount, number>();

/**
 * Calls an account for a test. Miniflare's own way blocks the test's process for as long as it
 * takes, and the scripted backends are in that process.
 */
export async function callAccount(request: Request, env: TenantAccountBinding): Promise<Response> {
  // The cast: the test sends it.
  const { tenant, call, argument } = (await request.json()) as AccountCall;
  // The cast: this is the class behind the binding.
  const account = env.TENANT_ACCOUNT?.getByName(tenant) as unknown as Record<
    AccountCall['call'],
    (argument: unknown) => Promise<unknown>
  >;
  return Response.json((await account[call](argument)) ?? null);
}

export class ScriptedAccount extends TenantAccount {
  #failures = 0;
  #forgets = false;

  /** Sets the clock ahead, by as much as all calls together say. */
  async advance(ms: number): Promise<void> {
    aheadMs.set(this, (aheadMs.get(this) ?? 0) + ms);
  }

  /** The next calls fail, as they do while the object moves. */
  async fail(calls: number): Promise<void> {
    this.#failures = calls;
  }

  /** The next reservation is lost before it is on disk. */
  async forget(): Promise<void> {
    this.#forgets = true;
  }

  /** Forgets all that is in memory. Whoever called sees an error. */
  async crash(): Promise<void> {
    this.ctx.abort('scripted crash');
  }

  /** Rings its alarm. Returns when that rings next, as the disk has it; null: not by itself. */
  async ring(): Promise<number | null> {
    await this.ctx.storage.deleteAlarm();
    await this.alarm();
    return this.ctx.storage.getAlarm();
  }

  /** What it would find on disk, once it has crashed. */
  async rows(query: string): Promise<Record<string, SqlStorageValue>[]> {
    return this.ctx.storage.sql.exec(query).toArray();
  }

  protected override now(): number {
    return Date.now() + (aheadMs.get(this) ?? 0);
  }

  /** Says that leases are short, so that tests see them renewed. They are not. */
  override async reserve(ask: Ask): Promise<Verdict> {
    this.#mayFail();
    const verdict = await super.reserve(ask);
    return verdict.outcome === 'granted' ? { ...verdict, leaseMs: 600 } : verdict;
  }

  override async confirm(id: string): Promise<boolean> {
    const forgets = this.#forgets;
    this.#forgets = false;
    return !forgets && super.confirm(id);
  }

  override async settle(settlement: Settlement): Promise<void> {
    this.#mayFail();
    return super.settle(settlement);
  }

  #mayFail(): void {
    if (this.#failures === 0) return;
    this.#failures--;
    throw new Error('scripted failure');
  }
}
