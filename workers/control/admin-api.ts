/**
 * The admin API as one table. The routes are chained so that their type is kept: the typed client
 * (admin-client.ts) is made from it.
 */
import { Hono } from 'hono';
import type * as z from 'zod';
import { ScoreBody, type ScoreReport } from '../gateway/score.ts';
import { etagOf } from '../objects/if-match.ts';
import {
  Activation,
  NewKey,
  NewPolicy,
  NewTenant,
  PlanDocument,
  Rotation,
  Suspension,
  TenantChanges,
  TenantDocument,
} from '../objects/tenant-record.ts';
import type { AppContext, AppEnv } from '../request/context.ts';
import { type BodyPatience, readBodyAfter } from '../request/read-body.ts';
import { validJson } from '../request/valid-json.ts';
import { listAudit, listTenantAudit, verifyAudit, verifyTenantAudit } from './audit.ts';
import { exportTenants, importTenants } from './backup.ts';
import { readBudgets } from './budgets.ts';
import { edgeMetrics } from './edge-metrics.ts';
import { ExplainBody, explainPrompt } from './explain.ts';
import { createKey, rotateKey } from './keys.ts';
import { deletePlan, listPlans, putPlan, readPlan } from './plans.ts';
import {
  activatePolicy,
  diffPolicy,
  draftPolicy,
  policyHistory,
  readPolicy,
  rollbackPolicy,
  testVersion,
} from './policies.ts';
import { type AskedBackend, DrainBody, drainBackend, listPool, undrainBackend } from './pool.ts';
import { type Probed, ReplayBody, replayAnswer } from './replay.ts';
import {
  AuditPage,
  DeleteTenant,
  DiffQuery,
  ifMatchOf,
  KeptPage,
  KnownHead,
  TenantPage,
  validKeyId,
  validPlanId,
  validQuery,
  validTenantId,
  validVersion,
} from './request-parts.ts';
import { boundOnCalls, requireOperator, requireTenantAccess } from './require-access.ts';
import { eraseSamples, readSamples } from './samples.ts';
import {
  type Admin,
  changeOwnTenant,
  createTenant,
  deleteTenant,
  listTenants,
  patchTenant,
  putTenant,
  readTenant,
  resumeTenant,
  suspendTenant,
} from './tenants.ts';
import { readTenantTraffic, readTraffic, TenantTrafficQuery, TrafficQuery } from './traffic.ts';
import { demandInference, standingAfter, type TrialEnv, trialAfter } from './trials.ts';
import { exportTenantUsage, exportUsage, TenantUsageQuery, UsageQuery } from './usage.ts';

type AdminApiOptions = Admin & {
  bodyPatience: BodyPatience;
  /** The backends as this isolate knows them. */
  poolOf: (c: Pick<AppContext, 'env' | 'var' | 'executionCtx'>) => Promise<readonly (AskedBackend & Probed)[]>;
  /** Answers a chat request under the policy of the caller. */
  complete: (c: AppContext<TrialEnv>) => Promise<Response>;
  /** Asks the heads of a model about an answer. */
  score: (asked: ScoreBody, c: AppContext<TrialEnv>) => Promise<z.infer<typeof ScoreReport>>;
};

export function createAdminApi({ bodyPatience, poolOf, complete, score, ...admin }: AdminApiOptions) {
  const { directory, classifier } = admin;
  const operator = requireOperator();
  const operatorAndBody = readBodyAfter(operator, bodyPatience);
  // Of the tenant in the path: what its own keys may read and change, and what only the operator
  // may.
  const calls = boundOnCalls();
  const reader = requireTenantAccess(directory, 'read', calls);
  const owner = requireTenantAccess(directory, 'admin', calls);
  // What stops a harm must not be stopped by whoever does it.
  const urgentOwner = requireTenantAccess(directory, 'admin', calls, { urgent: true });
  const ownerAndBody = readBodyAfter(owner, bodyPatience);
  // What costs tokens: an answer under a version that need not be active.
  const standing = standingAfter(ownerAndBody, admin);
  const trial = trialAfter(standing);
  const landlord = requireTenantAccess(directory, 'operator', calls);
  const landlordAndBody = readBodyAfter(landlord, bodyPatience);
  return (
    new Hono<AppEnv>()
      .basePath('/admin/v1')
      .get('/tenants', operator, validQuery(TenantPage), async (c) =>
        c.json({ object: 'list' as const, ...(await listTenants(c.req.valid('query'), { c, admin })) }),
      )
      .post('/tenants', operatorAndBody, validJson(NewTenant), async (c) => {
        const tenant = await createTenant(c.req.valid('json'), { c, admin });
        return c.json(tenant, 201, { etag: etagOf(tenant.revision) });
      })
      .get('/tenants/:id', reader, validTenantId(), async (c) => {
        const tenant = await readTenant({ c, admin });
        return c.json(tenant, 200, { etag: etagOf(tenant.revision) });
      })
      .put('/tenants/:id', landlordAndBody, validTenantId(), validJson(TenantDocument), async (c) => {
        // A document that is put whole needs no revision: whoever puts it has all of it.
        const ifMatch = ifMatchOf(c.req.header('if-match')) ?? 'any';
        const onlyNew = c.req.header('if-none-match')?.trim() === '*';
        const asked = { document: c.req.valid('json'), ifMatch, onlyNew };
        const { revision, ...answer } = await putTenant(asked, { c, admin });
        return c.json(answer, 200, { etag: etagOf(revision) });
      })
      .patch('/tenants/:id', landlordAndBody, validTenantId(), validJson(TenantChanges), async (c) => {
        const tenant = await patchTenant(c.req.valid('json'), {
          c,
          admin,
          ifMatch: ifMatchOf(c.req.header('if-match')),
        });
        return c.json(tenant, 200, { etag: etagOf(tenant.revision) });
      })
      .delete('/tenants/:id', landlord, validTenantId(), validQuery(DeleteTenant), async (c) => {
        const asked = { fate: c.req.valid('query').data, ifMatch: ifMatchOf(c.req.header('if-match')) };
        return c.json(await deleteTenant(asked, { c, admin }));
      })
      .post('/tenants/:id/suspend', landlordAndBody, validTenantId(), validJson(Suspension), async (c) =>
        c.json(await suspendTenant(c.req.valid('json'), { c, admin })),
      )
      .post('/tenants/:id/resume', landlord, validTenantId(), async (c) => c.json(await resumeTenant({ c, admin })))

      .get('/tenants/:id/keys', reader, validTenantId(), async (c) =>
        c.json({ object: 'list' as const, data: (await readTenant({ c, admin })).keys }),
      )
      .post('/tenants/:id/keys', ownerAndBody, validTenantId(), validJson(NewKey), async (c) =>
        c.json(await createKey(c.req.valid('json'), { c, admin }), 201),
      )
      .post('/tenants/:id/keys/:key/rotate', ownerAndBody, validKeyId(), validJson(Rotation), async (c) => {
        const { key } = c.req.valid('param');
        return c.json(await rotateKey({ ...c.req.valid('json'), key }, { c, admin }), 201);
      })
      .delete('/tenants/:id/keys/:key', urgentOwner, validKeyId(), async (c) => {
        const { key } = c.req.valid('param');
        await changeOwnTenant({ type: 'key-revoke', id: key }, { c, admin });
        return c.json({ id: key, deleted: true as const });
      })

      .get('/tenants/:id/policies', reader, validTenantId(), async (c) => c.json(await policyHistory(c)))
      .post('/tenants/:id/policies', ownerAndBody, validTenantId(), validJson(NewPolicy), async (c) =>
        c.json(await draftPolicy(c.req.valid('json').policy, { c, admin }), 201),
      )
      .get('/tenants/:id/policies/:version', reader, validVersion(), async (c) =>
        c.json(await readPolicy(c.req.valid('param').version, c)),
      )
      .get('/tenants/:id/policies/:version/diff', reader, validVersion(), validQuery(DiffQuery), async (c) =>
        c.json(await diffPolicy({ ...c.req.valid('param'), from: c.req.valid('query').from }, c)),
      )
      .post(
        '/tenants/:id/policies/:version/activate',
        ownerAndBody,
        validVersion(),
        validJson(Activation),
        async (c) => {
          const asked = {
            ...c.req.valid('param'),
            ...c.req.valid('json'),
            ifMatch: ifMatchOf(c.req.header('if-match')),
          };
          const tenant = await activatePolicy(asked, { c, admin });
          return c.json(tenant, 200, { etag: etagOf(tenant.revision) });
        },
      )
      .post('/tenants/:id/policies/:version/test', owner, validVersion(), async (c) =>
        c.json(await testVersion(c.req.valid('param').version, { c, admin })),
      )
      .post('/tenants/:id/policies/:version/try', trial, validVersion(), (c) => {
        demandInference(c);
        return complete(c);
      })
      .post('/tenants/:id/policies/:version/explain', trial, validVersion(), validJson(ExplainBody), async (c) =>
        c.json(await explainPrompt(c.req.valid('json'), { c, classifier, complete })),
      )
      .post('/tenants/:id/policies/:version/replay', standing, validVersion(), validJson(ReplayBody), async (c) =>
        c.json(await replayAnswer(c.req.valid('json'), { c, classifier, members: await poolOf(c) })),
      )
      .post('/tenants/:id/score', trial, validTenantId(), validJson(ScoreBody), async (c) => {
        demandInference(c);
        return c.json(await score(c.req.valid('json'), c));
      })
      .post('/tenants/:id/rollback', urgentOwner, validTenantId(), async (c) => {
        const tenant = await rollbackPolicy({ c, admin, ifMatch: ifMatchOf(c.req.header('if-match')) });
        return c.json(tenant, 200, { etag: etagOf(tenant.revision) });
      })

      .get('/tenants/:id/audit', reader, validTenantId(), validQuery(AuditPage), async (c) =>
        c.json({ object: 'list' as const, data: await listTenantAudit(c.req.valid('query'), c) }),
      )
      .get('/tenants/:id/audit/verify', reader, validTenantId(), async (c) => c.json(await verifyTenantAudit(c)))

      .get('/tenants/:id/usage', reader, validTenantId(), validQuery(TenantUsageQuery), (c) =>
        exportTenantUsage(c.req.valid('query'), c),
      )
      .get('/tenants/:id/budgets', reader, validTenantId(), async (c) => c.json(await readBudgets({ c, admin })))

      .get('/tenants/:id/traffic', reader, validTenantId(), validQuery(TenantTrafficQuery), async (c) =>
        c.json(await readTenantTraffic(c.req.valid('query'), c)),
      )

      .get('/tenants/:id/samples', owner, validTenantId(), validQuery(KeptPage), async (c) =>
        readSamples(c.req.valid('query'), { c, admin }),
      )
      .delete('/tenants/:id/samples', urgentOwner, validTenantId(), async (c) =>
        c.json(await eraseSamples({ c, admin })),
      )

      .get('/plans', operator, async (c) => c.json({ object: 'list' as const, data: await listPlans(c) }))
      .get('/plans/:id', operator, validPlanId(), async (c) => {
        const plan = await readPlan(c.req.valid('param').id, c);
        return c.json(plan, 200, { etag: etagOf(plan.revision) });
      })
      .put('/plans/:id', operatorAndBody, validPlanId(), validJson(PlanDocument), async (c) => {
        const { id } = c.req.valid('param');
        const ifMatch = ifMatchOf(c.req.header('if-match'));
        const plan = await putPlan({ id, document: c.req.valid('json'), ifMatch }, { c, admin });
        return c.json(plan, 200, { etag: etagOf(plan.revision) });
      })
      .delete('/plans/:id', operator, validPlanId(), async (c) => {
        const { id } = c.req.valid('param');
        return c.json(await deletePlan({ id, ifMatch: ifMatchOf(c.req.header('if-match')) }, c));
      })

      .get('/usage', operator, validQuery(UsageQuery), (c) => exportUsage(c.req.valid('query'), c))

      .get('/traffic', operator, validQuery(TrafficQuery), async (c) =>
        c.json(await readTraffic(c.req.valid('query'), c)),
      )

      .get('/metrics', operator, async (c) => edgeMetrics(c, await poolOf(c)))

      .get('/pool', operator, async (c) => c.json(await listPool(c, await poolOf(c))))
      .post('/pool/drain', operatorAndBody, validJson(DrainBody), async (c) =>
        c.json(await drainBackend(c.req.valid('json'), c)),
      )
      .post('/pool/undrain', operatorAndBody, validJson(DrainBody), async (c) =>
        c.json(await undrainBackend(c.req.valid('json'), c)),
      )

      .get('/audit', operator, validQuery(AuditPage), async (c) =>
        c.json({ object: 'list' as const, data: await listAudit(c.req.valid('query'), c) }),
      )
      .get('/audit/verify', operator, validQuery(KnownHead), async (c) => {
        const { seq, hash } = c.req.valid('query');
        const known = seq === undefined || hash === undefined ? null : { seq, hash };
        return c.json(await verifyAudit(known, c));
      })

      .get('/export', operator, (c) => exportTenants(c))
      // The body is read as it comes, because a backup may be longer than any other body.
      .post('/import', operator, async (c) =>
        c.json(await importTenants(c.req.raw.body, { c, admin, silenceMs: bodyPatience.silenceMs })),
      )
  );
}
export type AdminApi = ReturnType<typeof createAdminApi>;
