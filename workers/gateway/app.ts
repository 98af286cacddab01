/**
 * The edge on one page: what every request passes, in order, and the table of routes. A path that is not in the table is a
 * 404, a method that is not in its row a 405.
 */
import { Hono } from 'hono';
import type { Policy } from '#policies/schema.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { requireOperator } from '../control/require-operator.ts';
import { listAudit, listTenants, putTenant } from '../control/tenants.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from './attempt.ts';
import { authenticate } from './authenticate.ts';
import { createBackendPool } from './backend-pool.ts';
import { chatCompletions } from './chat-completions.ts';
import { createConfigReader } from './config.ts';
import type { AppContext, AppEnv, Middleware } from './context.ts';
import { createDecide } from './decide.ts';
import { health } from './health.ts';
import { onlyOwnHostNames } from './host-names.ts';
import { listModels, retrieveModel } from './models.ts';
import { moderations } from './moderations.ts';
import { readBody } from './read-body.ts';
import { methodNotAllowed, renderError, unknownRoute } from './render-error.ts';
import { requestId } from './request-id.ts';
import { createTenantDirectory, DEFAULT_FRESHNESS, type Freshness } from './tenant-directory.ts';

export type AppOptions = {
  classifier: Classifier;
  /** Joined above every tenant's own. */
  operatorPolicy: Policy;
  timeouts?: Timeouts;
  freshness?: Freshness;
  /** How long a backend that failed is left alone, at first. */
  restMs?: number;
};

type Route = (c: AppContext) => Response | Promise<Response>;
type Method = 'GET' | 'POST' | 'PUT';

export function createApp({
  classifier,
  operatorPolicy,
  timeouts = DEFAULT_TIMEOUTS,
  freshness = DEFAULT_FRESHNESS,
  restMs,
}: AppOptions): Hono<AppEnv> {
  const readConfig = createConfigReader();
  const directory = createTenantDirectory({ operatorPolicy, freshness });
  const pool = createBackendPool({ ...(restMs !== undefined && { restMs }) });
  const decide = createDecide(classifier);
  const classifierVersion = classifier.version;

  const app = new Hono<AppEnv>();
  app.onError(renderError);
  app.notFound(unknownRoute);
  app.use(requestId());
  app.use(onlyOwnHostNames());
  app.use(readBody());
  app.use(async function configuration(c, next) {
    c.set('config', readConfig(c.env));
    await next();
  });

  const key = authenticate(directory);
  const operator = requireOperator();
  const open: Middleware = (_c, next) => next();
  const routes: Record<string, Partial<Record<Method, [Middleware, Route]>>> = {
    '/v1/chat/completions': { POST: [key, chatCompletions({ decide, pool, classifierVersion, timeouts })] },
    '/v1/models': { GET: [key, listModels(pool)] },
    '/v1/models/:id{.+}': { GET: [key, retrieveModel(pool)] },
    '/v1/moderations': { POST: [key, moderations(classifier)] },
    '/.well-known/jwks.json': { GET: [open, (c) => c.json(c.var.config.receiptJwks)] },
    '/healthz': { GET: [open, health(pool)] },
    '/admin/v1/tenants': { GET: [operator, listTenants(operatorPolicy)] },
    '/admin/v1/tenants/:id': { PUT: [operator, putTenant(directory)] },
    '/admin/v1/audit': { GET: [operator, listAudit()] },
  };
  for (const [path, methods] of Object.entries(routes)) {
    for (const [method, handlers] of Object.entries(methods)) app.on(method, path, ...handlers);
    app.all(path, methodNotAllowed(Object.keys(methods)));
  }
  return app;
}
