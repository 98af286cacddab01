/**
 * `GET /admin/v1/tenants/ID/budgets`: what a tenant may spend, how much of that is left today and
 * this month, and which alerts have been sent. For the tenant itself, too.
 */
import * as z from 'zod';
import type { Level } from '#policies/effective.ts';
import { readLevel } from '#policies/effective.ts';
import type { Policy } from '#policies/schema.ts';
import { tightenAll } from '#policies/tighten.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type AccountStatement, tenantAccount } from '../objects/tenant-account-contract.ts';
import { type Admin, asking, levelOfPlan, type TenantContext, viewOf } from './tenants.ts';

const Bound = z.int().nullable();
const SetBy = z.enum(['operator', 'plan', 'tenant']);

const BudgetAnswer = z.strictObject({
  period: z.enum(['day', 'month']),
  window: z.string().describe('the day or the month of UTC'),
  limit: Bound.describe('tokens; null: no limit'),
  set_by: SetBy.nullable().describe('the level that sets the limit'),
  charged: z.int().describe('what counts against the limit: settled, and reserved by what is under way'),
  settled: z.int().describe('what answers have cost'),
  left: Bound.describe('null: no limit'),
  ends_at: z.string().describe('ISO 8601, in UTC'),
});

const AlertAnswer = z.strictObject({
  window: z.string(),
  share: z.number(),
  limit: z.int(),
  set_by: z.enum(['operator', 'tenant']),
  settled: z.int().describe('when the share was reached'),
  at: z.string().describe('ISO 8601, in UTC'),
  delivered: z.boolean().describe('whether it waits for nothing any more: the receiver took it, or it was given up'),
  attempts: z.int().describe('how often it was sent in vain'),
});

export const BudgetsAnswer = z.strictObject({
  object: z.literal('tenant.budgets'),
  limits: z
    .strictObject({
      max_tokens: Bound,
      requests_per_minute: Bound,
      tokens_per_minute: Bound,
      concurrent_streams: Bound,
      tokens_per_day: Bound,
      tokens_per_month: Bound,
      tries_per_prompt_per_minute: Bound,
    })
    .describe("of all levels but a key's own"),
  budgets: z.array(BudgetAnswer),
  alert_shares: z
    .array(z.number())
    .nullable()
    .describe('at which shares of a limit an alert is sent; null: the deployment sends none'),
  alerts: z.array(AlertAnswer).describe('of this month and its days, latest first'),
});

export async function readBudgets({ c, admin }: { c: TenantContext; admin: Admin }) {
  const view = await viewOf(c);
  const account = tenantAccount(c.env, view.id);
  if (account === null) {
    throw new PlimsollError('unknown_url', 'This deployment keeps no accounts: it has no TENANT_ACCOUNT.');
  }
  const levels: Level[] = [
    { level: 'operator', version: null, policy: admin.operatorPolicy, problem: null },
    ...(await levelOfPlan(view.plan, c)),
    await readLevel('tenant', view.policy, view.policy_version),
  ];
  const { limits } = tightenAll(levels.map(({ policy }) => policy));
  const said = await asking(() => account.statement());
  return {
    object: 'tenant.budgets' as const,
    limits,
    budgets: [
      { period: 'day' as const, ...budgetOf(said.day, levels, 'tokens_per_day') },
      { period: 'month' as const, ...budgetOf(said.month, levels, 'tokens_per_month') },
    ],
    alert_shares: said.shares === null ? null : [...said.shares],
    alerts: said.alerts.map(({ window, share, cap, setBy, settled, at, isWaiting, attempts }) => ({
      ...{ window, share, limit: cap, set_by: setBy, settled },
      at: new Date(at).toISOString(),
      delivered: !isWaiting,
      attempts,
    })),
  } satisfies z.infer<typeof BudgetsAnswer>;
}

function budgetOf(
  { window, charged, settled }: AccountStatement['day'],
  levels: readonly Level[],
  name: keyof Policy['limits'],
) {
  const bounds = levels.flatMap(({ level, policy }) => {
    const limit = policy.limits[name];
    // The cast: these are the levels that were asked for.
    return limit === null ? [] : [{ level: level as z.infer<typeof SetBy>, limit }];
  });
  // Of two that set the same, the upper one: the lower could be changed in vain.
  const strictest = bounds.reduce<(typeof bounds)[number] | null>(
    (least, each) => (least === null || each.limit < least.limit ? each : least),
    null,
  );
  const limit = strictest?.limit ?? null;
  return {
    ...{ window, limit, set_by: strictest?.level ?? null, charged, settled },
    left: limit === null ? null : Math.max(0, limit - charged),
    ends_at: endOf(window),
  };
}

function endOf(window: string): string {
  const [year = 0, month = 1, day] = window.split('-').map(Number);
  return new Date(day === undefined ? Date.UTC(year, month) : Date.UTC(year, month - 1, day + 1)).toISOString();
}
