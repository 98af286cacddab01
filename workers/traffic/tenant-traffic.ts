/**
 * A sample of one tenant's prompts, for simulations of its next policy: a Durable Object of its
 * own, so that nothing that decides about a request waits for it, and no backup of the tenant has
 * it.
 *
 * The edge says which prompts to keep. The object asks the tenant's own object whether there is
 * such a tenant and whether its policy allows it: a copy of a policy near to requests may be a
 * minute old. While it holds prompts, it looks again every hour, and erases what has come to its
 * end, or all of it if the operator, the tenant or its plan has taken the permission back.
 */
import { DurableObject } from 'cloudflare:workers';
import { keepsPrompts, type Retention } from '#policies/retention.ts';
import { migrate } from '../objects/migrate.ts';
import { createRetentionWord, type RetentionWord } from '../objects/retention-word.ts';
import type { TenantIndexBinding, TenantObjectBinding } from '../objects/tenant-contracts.ts';
import { type KeptRow, MOST_KEPT_CHARACTERS, type TenantTrafficContract } from '../objects/tenant-traffic-contract.ts';
import { logError } from '../request/log.ts';
import { OPERATOR_POLICY } from '../request/operator-policy.ts';
import { countPrompts, forgetOld, keepPrompt, latestPrompts, ownerOf, TRAFFIC_STEPS } from './kept-prompts.ts';

type TrafficEnv = TenantObjectBinding & TenantIndexBinding;

/** How soon the object looks again whether what it holds may still be kept. */
const LOOK_AGAIN_MS = 60 * 60_000;

export class TenantTraffic extends DurableObject<TrafficEnv> implements TenantTrafficContract {
  readonly #sql: SqlStorage;
  readonly #word: RetentionWord;
  /** Counts erasures, so that what was on its way when one came is not kept after it. */
  #erasures = 0;

  constructor(ctx: DurableObjectState, env: TrafficEnv) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#word = createRetentionWord(env, {
      allows: keepsPrompts,
      operator: () => this.operatorRetention,
      onProblem: (tenant, problem) => logError({ event: 'kept-prompts-unchecked', tenant, problem }),
    });
    migrate(ctx.storage, TRAFFIC_STEPS);
  }

  async keep(tenant: string, { messages, days }: { messages: string; days: number }): Promise<boolean> {
    if (messages.length > MOST_KEPT_CHARACTERS) return false;
    const erasures = this.#erasures;
    const word = await this.#word.of(tenant);
    if (this.#erasures !== erasures) return false;
    const { days: most } = word;
    if (most === null) {
      if (word.erases && ownerOf(this.#sql) !== null) await this.erase();
      return false;
    }
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      forgetOld(this.#sql, { days: most, now });
      keepPrompt(this.#sql, { tenant, messages, days: Math.min(days, most), now });
    });
    await this.#arm();
    return true;
  }

  async count(days: number | null): Promise<number> {
    forgetOld(this.#sql, { days, now: Date.now() });
    return countPrompts(this.#sql).count;
  }

  async page({ days, before, limit }: { days: number; before: number | null; limit: number }): Promise<KeptRow[]> {
    forgetOld(this.#sql, { days, now: Date.now() });
    return latestPrompts(this.#sql, { before, limit });
  }

  async erase(): Promise<void> {
    this.#erasures += 1;
    this.#word.forget();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    migrate(this.ctx.storage, TRAFFIC_STEPS);
  }

  override async alarm(): Promise<void> {
    forgetOld(this.#sql, { days: null, now: Date.now() });
    const tenant = ownerOf(this.#sql);
    if (tenant === null) return;
    try {
      const allowed = await this.#word.withPlan(tenant);
      if (!keepsPrompts(allowed)) return await this.erase();
      forgetOld(this.#sql, { days: allowed.days, now: Date.now() });
    } catch (cause) {
      // An alarm that throws is tried again a few times and then never. This one rings again.
      logError({ event: 'kept-prompts-unchecked', tenant, cause });
    }
    await this.#arm();
  }

  protected get operatorRetention(): Retention {
    return OPERATOR_POLICY.retention;
  }

  /** Sees to it that the alarm rings at the first end, or in an hour, or earlier. */
  async #arm(): Promise<void> {
    const { firstEndsAt } = countPrompts(this.#sql);
    if (firstEndsAt === null) return this.ctx.storage.deleteAlarm();
    const at = Math.min(firstEndsAt, Date.now() + LOOK_AGAIN_MS);
    // Each prompt that is kept would otherwise put the next look off.
    const rings = await this.ctx.storage.getAlarm();
    if (rings === null || rings > at) await this.ctx.storage.setAlarm(at);
  }
}
