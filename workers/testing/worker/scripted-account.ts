/**
 * The account with a clock that tests set ahead, and that can be out of reach. Everything else is
 * real.
 */
import { TenantAccount } from '../../account/tenant-account.ts';
import type { Ask, Settlement, Verdict } from '../../objects/tenant-account-contract.ts';

/** Not a field: the account asks for the time before its fields are there. */
const aheadMs = new WeakMap<TenantAccount, number>();

export class ScriptedAccount extends TenantAccount {
  #failures = 0;

  /** Sets the clock ahead, by as much as all calls together say. */
  async advance(ms: number): Promise<void> {
    aheadMs.set(this, (aheadMs.get(this) ?? 0) + ms);
  }

  /** The next calls fail, as they do while the object moves. */
  async fail(calls: number): Promise<void> {
    this.#failures = calls;
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
