/**
 * A sample of one tenant's prompts, for simulations of its next policy: a Durable Object of its
 * own, so that nothing that decides about a request waits for it, and no backup of the tenant has
 * it.
 *
 * The edge says which prompts to keep. The object asks the tenant's own object whether there is
 * such a tenant and whether its policy allows it: a copy of a policy near to requests may be a
 * minute old. While it holds prompts, it looks again every hour, and erases what has come to its
 * end, or all of it if the tenant or its plan has taken the permission back.
 */
import { DurableObject } from 'cloudflare:workers';
import { readLevel } from '#policies/effective.ts';
import { KEEPS_NOTHING, keepsPrompts, type Retention } from '#policies/retention.ts';
import { joinRetention } from '#policies/tighten.ts';
import { migrate } from '../objects/migrate.ts';
import {
  type TenantIndexBinding,
  type TenantObjectBinding,
  tenantIndex,
  tenantObject,
} from '../objects/tenant-contracts.ts';
import { type KeptRow, MOST_KEPT_CHARACTERS, type TenantTrafficContract } from '../objects/tenant-traffic-contract.ts';
import { logError } from '../request/log.ts';
import { countPrompts, forgetOld, keepPrompt, latestPrompts, ownerOf, TRAFFIC_STEPS } from './kept-prompts.ts';

/** What the tenant's own object says. */
type Word = Retention & { isSuspended: boolean; plan: string | null };
type TrafficEnv = TenantObjectBinding & TenantIndexBinding;

/** How soon the object looks again whether what it holds may still be kept. */
const LOOK_AGAIN_MS = 60 * 60_000;
/** How long a word counts for the next prompts. */
const WORD_COUNTS_MS = 10_000;

export class TenantTraffic extends DurableObject<TrafficEnv> implements TenantTrafficContract {
  readonly #sql: SqlStorage;
  #word: { word: Word; untilMs: number } | null = null;
  /** Counts erasures, so that what was on its way when one came is not kept after it. */
  #erasures = 0;

  constructor(ctx: DurableObjectState, env: TrafficEnv) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrate(ctx.storage, TRAFFIC_STEPS);
  }

  async keep(tenant: string, { messages, days }: { messages: string; days: number }): Promise<boolean> {
    if (messages.length > MOST_KEPT_CHARACTERS) return false;
    const erasures = this.#erasures;
    const word = await this.#wordOf(tenant);
    if (this.#erasures !== erasures || word.isSuspended) return false;
    if (!keepsPrompts(word)) {
      if (ownerOf(this.#sql) !== null) await this.erase();
      return false;
    }
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      forgetOld(this.#sql, { days: word.days, now });
      keepPrompt(this.#sql, { tenant, messages, days: Math.min(days, word.days), now });
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
    this.#word = null;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    migrate(this.ctx.storage, TRAFFIC_STEPS);
  }

  override async alarm(): Promise<void> {
    forgetOld(this.#sql, { days: null, now: Date.now() });
    const tenant = ownerOf(this.#sql);
    if (tenant === null) return;
    try {
      this.#word = null;
      const word = await this.#wordOf(tenant);
      const allowed = joinRetention(retentionIn(word), await this.#retentionOfPlan(word));
      if (!keepsPrompts(allowed)) return await this.erase();
      forgetOld(this.#sql, { days: allowed.days, now: Date.now() });
    } catch (cause) {
      // An alarm that throws is tried again a few times and then never. This one rings again.
      logError({ event: 'kept-prompts-unchecked', tenant, cause });
    }
    await this.#arm();
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

  /** A plan that is lost or cannot be read forbids nothing here: erasing is for good. */
  async #retentionOfPlan({ plan: id, ...own }: Word): Promise<Retention> {
    const plan = id === null ? null : await tenantIndex(this.env).plan(id);
    if (plan === null) return retentionIn(own);
    const { policy, problem } = await readLevel('plan', plan.document, plan.policy_version);
    return problem === null ? policy.retention : retentionIn(own);
  }

  async #wordOf(tenant: string): Promise<Word> {
    if (this.#word !== null && this.#word.untilMs > Date.now()) return this.#word.word;
    const erasures = this.#erasures;
    const view = await tenantObject(this.env, tenant).read(tenant);
    const word =
      view === null || view.deleted_at !== null
        ? { ...KEEPS_NOTHING, isSuspended: false, plan: null }
        : {
            ...(await readLevel('tenant', view.policy, view.policy_version)).policy.retention,
            isSuspended: view.suspended !== null,
            plan: view.plan,
          };
    if (this.#erasures === erasures) this.#word = { word, untilMs: Date.now() + WORD_COUNTS_MS };
    return word;
  }
}

const retentionIn = ({ traffic, share, days }: Retention): Retention => ({ traffic, share, days });
