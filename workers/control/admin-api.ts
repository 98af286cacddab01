/**
 * The admin API as one table. The routes are chained so that their type is kept: the typed client
 * (admin-client.ts) is made from it.
 */
import { Hono } from 'hono';
import type { Policy } from '#policies/schema.ts';
import { TenantDocument } from '../objects/tenant-record.ts';
import type { AppEnv, BodyEnv, Middleware } from '../request/context.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import { validJson } from '../request/valid-json.ts';
import { requireOperator } from './require-operator.ts';
import { listAudit, listTenants, putTenant, validTenantId } from './tenants.ts';

type AdminApiOptions = { directory: TenantDirectory; operatorPolicy: Policy; readBody: Middleware<BodyEnv> };

export function createAdminApi({ directory, operatorPolicy, readBody }: AdminApiOptions) {
  const operator = requireOperator();
  return new Hono<AppEnv>()
    .basePath('/admin/v1')
    .get('/tenants', operator, async (c) =>
      c.json({ object: 'list' as const, data: await listTenants(c.env, operatorPolicy) }),
    )
    .put('/tenants/:id', operator, readBody, validTenantId(), validJson(TenantDocument), async (c) => {
      const { id } = c.req.valid('param');
      return c.json(await putTenant({ id, document: c.req.valid('json') }, { env: c.env, directory }));
    })
    .get('/audit', operator, async (c) => c.json({ object: 'list' as const, data: await listAudit(c.env) }));
}
export type AdminApi = ReturnType<typeof createAdminApi>;
