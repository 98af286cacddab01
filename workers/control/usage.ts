/**
 * `GET /admin/v1/usage`: what tenants have spent, by day, tenant, key and model, as JSON or CSV. A
 * tenant's own key reads its own below `/admin/v1/tenants/ID`.
 */
import { csvFormat } from 'd3-dsv';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { readUsage, UsageRow } from '../account/usage-table.ts';
import { parseTenantId } from '../objects/tenant-record.ts';
import type { AppContext, OperatorEnv } from '../request/context.ts';
import { demandTenant, type TenantContext } from './tenants.ts';

const COLUMNS = [
  'day',
  'tenant',
  'key',
  'model',
  'requests',
  'prompt_tokens',
  'completion_tokens',
  'charged_tokens',
] as const satisfies (keyof UsageRow)[];

const A_DAY = 'a day, as in 2026-11-30';

/** Days are those of UTC, both included. Without them, the current month so far. */
export const TenantUsageQuery = z.strictObject({
  from: z.iso.date(A_DAY).optional(),
  to: z.iso.date(A_DAY).optional(),
  format: z.enum(['json', 'csv']).default('json'),
});

export const UsageQuery = TenantUsageQuery.extend({ tenant: z.string().optional() });

export const UsageAnswer = z.strictObject({
  object: z.literal('list'),
  from: z.iso.date(),
  to: z.iso.date(),
  data: z.array(UsageRow),
});

export async function exportUsage(
  { tenant, ...query }: z.output<typeof UsageQuery>,
  c: Pick<AppContext<OperatorEnv>, 'env'>,
): Promise<Response> {
  return usageOf(tenant === undefined ? null : parseTenantId(tenant), query, c);
}

/** The same of the tenant in the path, for itself. */
export async function exportTenantUsage(query: z.output<typeof TenantUsageQuery>, c: TenantContext): Promise<Response> {
  await demandTenant(c);
  return usageOf(c.var.access.tenant, query, c);
}

/** @param tenant null: of all */
async function usageOf(
  tenant: string | null,
  query: z.output<typeof TenantUsageQuery>,
  c: Pick<AppContext, 'env'>,
): Promise<Response> {
  if (c.env.USAGE_DB === undefined) {
    throw new PlimsollError(
      'unknown_url',
      'This deployment keeps no usage. For that, bind a D1 database as USAGE_DB and a queue as USAGE_QUEUE.',
    );
  }
  const today = new Date().toISOString().slice(0, 10);
  const { to = today, from = `${to.slice(0, 7)}-01`, format } = query;
  if (from > to) {
    const message = `'from' is ${from}, after 'to', which is ${to}${query.to === undefined ? ' (today)' : ''}.`;
    throw new PlimsollError('invalid_value', message, { param: 'from' });
  }
  const data = await readUsage(c.env.USAGE_DB, { from, to, tenant });
  if (format === 'json') return Response.json({ object: 'list', from, to, data } satisfies z.infer<typeof UsageAnswer>);
  const headers = {
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': `attachment; filename="usage-${from}-${to}.csv"`,
  };
  return new Response(`${csvFormat(data, [...COLUMNS])}\n`, { headers });
}
