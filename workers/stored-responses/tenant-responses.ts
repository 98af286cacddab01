/**
 * One tenant's stored responses, so that clients can go on from them: a Durable Object of its own,
 * so that no other tenant can reach them, and no backup of the tenant has them.
 *
 * The edge says which responses to store. The object asks the tenant's own object whether there is
 * such a tenant and whether its policy allows it. While it holds responses, it looks again every
 * hour, and erases what has come to its end, or all of it if the tenant or its plan has taken the
 * permission back.
 */
import { DurableObject } from 'cloudflare:workers';
import { migrate } from '../objects/migrate.ts';
import { createRetentionWord, type RetentionWord } from '../objects/retention-word.ts';
import type { TenantIndexBinding, TenantObjectBinding } from '../objects/tenant-contracts.ts';
import {
  type Conversation,
  type Found,
  MOST_STORED_CHARACTERS,
  type StoredResponse,
  type TenantResponsesContract,
} from '../objects/tenant-responses-contract.ts';
import { logError } from '../request/log.ts';
import { OPERATOR_POLICY } from '../request/operator-policy.ts';
import {
  firstEnd,
  forgetOld,
  ownerOf,
  RESPONSES_STEPS,
  readConversation,
  readTurns,
  removeRow,
  saveRow,
} from './response-rows.ts';

type ResponsesEnv = TenantObjectBinding & TenantIndexBinding;

/** How soon the object looks again whether what it holds may still be stored. */
const LOOK_AGAIN_MS = 60 * 60_000;

export class TenantResponses extends DurableObject<ResponsesEnv> implements TenantResponsesContract {
  readonly #sql: SqlStorage;
  readonly #word: RetentionWord;
  /** Counts erasures, so that what was on its way when one came is not stored after it. */
  #erasures = 0;

  constructor(ctx: DurableObjectState, env: ResponsesEnv) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#word = createRetentionWord(env, {
      allows: ({ responses }) => responses,
      operator: () => OPERATOR_POLICY.retention,
      onProblem: (tenant, problem) => logError({ event: 'stored-responses-unchecked', tenant, problem }),
    });
    migrate(ctx.storage, RESPONSES_STEPS);
  }

  async save(
    tenant: string,
    { days, ...stored }: StoredResponse & { previous: string | null; days: number },
  ): Promise<boolean> {
    if (stored.response.length + stored.input.length > MOST_STORED_CHARACTERS) return false;
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
      saveRow(this.#sql, { ...stored, tenant, days: Math.min(days, most), now });
    });
    await this.#arm();
    return true;
  }

  async read(ids: readonly string[], days: number): Promise<Found> {
    return readTurns(this.#sql, ids, { days, now: Date.now() });
  }

  async conversation(id: string, days: number): Promise<Conversation> {
    return readConversation(this.#sql, id, { days, now: Date.now() });
  }

  async remove(id: string): Promise<boolean> {
    return removeRow(this.#sql, id);
  }

  async erase(): Promise<void> {
    this.#erasures += 1;
    this.#word.forget();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    migrate(this.ctx.storage, RESPONSES_STEPS);
  }

  override async alarm(): Promise<void> {
    forgetOld(this.#sql, { days: null, now: Date.now() });
    const tenant = ownerOf(this.#sql);
    if (tenant === null) return;
    try {
      const allowed = await this.#word.withPlan(tenant);
      if (!allowed.responses) return await this.erase();
      forgetOld(this.#sql, { days: allowed.days, now: Date.now() });
    } catch (cause) {
      // An alarm that throws is tried again a few times and then never. This one rings again.
      logError({ event: 'stored-responses-unchecked', tenant, cause });
    }
    await this.#arm();
  }

  /** Sees to it that the alarm rings at the first end, or in an hour, or earlier. */
  async #arm(): Promise<void> {
    const first = firstEnd(this.#sql);
    if (first === null) return this.ctx.storage.deleteAlarm();
    const at = Math.min(first, Date.now() + LOOK_AGAIN_MS);
    // Each response that is stored would otherwise put the next look off.
    const rings = await this.ctx.storage.getAlarm();
    if (rings === null || rings > at) await this.ctx.storage.setAlarm(at);
  }
}
