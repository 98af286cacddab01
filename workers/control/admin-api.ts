/**
 * The admin API as one table. The routes are chained so that their type is kept: the typed client
 * (admin-client.ts) is made from it.
 */
import { Hono } from 'hono';
import type { Policy } from '#policies/schema.ts';
import { TenantDocument } from '../objects/tenant-record.ts';
import type { AppEnv } from '../request/context.ts';
import { type BodyPatience, readBodyAfter } from '../request/read-body.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import { validJson } from '../request/valid-json.ts';
import { requireOperator } from './require-operator.ts';
import { listAudit, listTenants, putTenant, validTenantId } from './tenants.ts';
import { exportUsage } from './usage.ts';

type AdminApiOptions = { directory: TenantDirectory; operatorPolicy: Policy; bodyPatience: BodyPatience };

export function createAdminApi({ directory, operatorPolicy, bodyPatience }: AdminApiOptions) {
  const operator = requireOperator();
  const operatorAndBody = readBodyAfter(operator, bodyPatience);
  return new Hono<AppEnv>()
    .basePath('/admin/v1')
    .get('/tenants', operator, async (c) =>
      c.json({ object: 'list' as const, data: await listTenants(c, operatorPolicy) }),
    )
    .put('/tenants/:id', operatorAndBody, validTenantId(), validJson(TenantDocument), async (c) => {
      const { id } = c.req.valid('param');
      return c.json(await putTenant({ id, document: c.req.valid('json') }, { c, directory }));
    })
    .get('/usage', operator, (c) => exportUsage(c))
    .get('/audit', operator, async (c) => c.json({ object: 'list' as const, data: await listAudit(c) }));
}
export type AdminApi = ReturnType<typeof createAdminApi>;
