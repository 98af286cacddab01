/** Who may call what the admin API does. For what it does, see tenants.integration.test.ts. */
import type { Hono } from 'hono';
import { test } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import { TenantDocument } from '../objects/tenant-record.ts';
import type { AppEnv, CallerEnv, Middleware } from '../request/context.ts';
import { DEFAULT_BODY_PATIENCE, readBodyAfter } from '../request/read-body.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import { validJson } from '../request/valid-json.ts';
import { scriptedClassifier } from '../testing/worker/scripted-classifier.ts';
import { listAudit } from './audit.ts';
import { requireOperator, requireTenantAccess } from './require-access.ts';
import { listTenants, putTenant } from './tenants.ts';

test('an admin route without the operator does not compile', () => {
  // Never called: `npm run check` is the test.
  void ((app: Hono<AppEnv>, key: Middleware<CallerEnv>, directory: TenantDirectory) => {
    const admin = { directory, operatorPolicy: LOOSEST, classifier: scriptedClassifier };
    const page = { after: '', limit: 1 };
    app.get('/', requireOperator(), async (c) => c.json(await listTenants(page, { c, admin })));
    // @ts-expect-error anyone could list the tenants
    app.get('/', async (c) => c.json(await listTenants(page, { c, admin })));
    // @ts-expect-error anyone could read the audit log
    app.get('/', async (c) => c.json(await listAudit(page, c)));
    // @ts-expect-error a tenant's key is not the operator's
    app.get('/', key, async (c) => c.json(await listAudit(page, c)));
    // @ts-expect-error a key of a tenant, even its admin's, could read everybody's log
    app.get('/', requireTenantAccess(directory, 'admin'), async (c) => c.json(await listAudit(page, c)));
    app.put('/', readBodyAfter(key, DEFAULT_BODY_PATIENCE), validJson(TenantDocument), async (c) => {
      const asked = { document: c.req.valid('json'), ifMatch: 'any', onlyNew: false } as const;
      // @ts-expect-error a tenant could put any tenant
      return c.json(await putTenant(asked, { c, admin }));
    });
  });
});
