/**
 * `GET /admin/v1/traffic`: the latest requests, for whoever watches. A tenant's own key sees its
 * own below `/admin/v1/tenants/ID`.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { LiveRequest, liveTraffic } from '../objects/live-traffic-contract.ts';
import { parseTenantId } from '../objects/tenant-record.ts';
import type { AppContext, OperatorEnv } from '../request/context.ts';
import { asking, demandTenant, type TenantContext } from './tenants.ts';

/** How many are given at once: as many as there are of a tenant. */
const PAGE = 100;

export const TenantTrafficQuery = z.strictObject({
  after: z
    .string()
    .regex(/^[0-9a-f]{8}\.\d{1,15}$/, 'the `cursor` of an earlier answer')
    .optional()
    .describe('the `cursor` of an earlier answer: only what has come since'),
});
export const TrafficQuery = TenantTrafficQuery.extend({ tenant: z.string().optional() });

export const TrafficAnswer = z.strictObject({
  object: z.literal('list'),
  data: z.array(LiveRequest).describe('requests that are over, in the order in which they came in'),
  cursor: z.string(),
  since: z.string().describe('what was before is not remembered: ISO 8601, in UTC'),
  lost: z.int().describe('how many requests could not be kept since then'),
});

type Query = z.output<typeof TenantTrafficQuery>;

export function readTraffic(
  { tenant, ...query }: z.output<typeof TrafficQuery>,
  c: Pick<AppContext<OperatorEnv>, 'env'>,
): Promise<z.infer<typeof TrafficAnswer>> {
  return latest(tenant === undefined ? null : parseTenantId(tenant), query, c);
}

export async function readTenantTraffic(query: Query, c: TenantContext): Promise<z.infer<typeof TrafficAnswer>> {
  await demandTenant(c);
  return latest(c.var.access.tenant, query, c);
}

async function latest(
  tenant: string | null,
  { after = null }: { after?: string | null | undefined },
  { env }: Pick<AppContext, 'env'>,
): Promise<z.infer<typeof TrafficAnswer>> {
  const traffic = liveTraffic(env);
  if (traffic === null) {
    throw new PlimsollError('unknown_url', 'Nobody can watch the traffic of this deployment: it has no LIVE_TRAFFIC.');
  }
  const { sinceMs, ...page } = await asking(() => traffic.read({ tenant, after, limit: PAGE }));
  return { object: 'list', ...page, since: new Date(sinceMs).toISOString() };
}
