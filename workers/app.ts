/**
 * The edge on one page: what every request passes, in order, and the table of routes. A path that is not in the table is a
 * 404, a method that is not in its row a 405.
 */
import { Hono } from 'hono';
import type { Policy } from '#policies/schema.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { requireOperator } from './control/require-operator.ts';
import { listAudit, listTenants, putTenant } from './control/tenants.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from './gateway/attempt.ts';
import { createBackendPool } from './gateway/backend-pool.ts';
import { chatCompletions } from './gateway/chat-completions.ts';
import { createDecide } from './gateway/decide.ts';
import { frontPage } from './gateway/front-page.ts';
import { health } from './gateway/health.ts';
import { listModels, retrieveModel } from './gateway/models.ts';
import { moderations } from './gateway/moderations.ts';
import { authenticate } from './request/authenticate.ts';
import { createConfigReader } from './request/config.ts';
import type { AppContext, AppEnv, Middleware } from './request/context.ts';
import { onlyOwnHostNames } from './request/host-names.ts';
import { type BodyPatience, DEFAULT_BODY_PATIENCE, discardUnread, readBody } from './request/read-body.ts';
import { methodNotAllowed, renderError } from './request/render-error.ts';
import { requestId } from './request/request-id.ts';
import { createTenantDirectory, DEFAULT_FRESHNESS, type Freshness } from './request/tenant-directory.ts';
import { unknownRoute } from './request/unknown-route.ts';

export type AppOptions = {
  classifier: Classifier;
  /** Joined above every tenant's own. */
  operatorPolicy: Policy;
  timeouts?: Timeouts;
  freshness?: Freshness;
  bodyPatience?: BodyPatience;
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
  bodyPatience = DEFAULT_BODY_PATIENCE,
  restMs,
}: AppOptions): Hono<AppEnv> {
  const readConfig = createConfigReader();
  const directory = createTenantDirectory({ operatorPolicy, freshness });
  const pool = createBackendPool({ ...(restMs !== undefined && { restMs }) });
  const decide = createDecide(classifier);
  const classifierVersion = classifier.version;

  const app = new Hono<AppEnv>();
  app.onError(renderError);
  app.use(requestId());
  app.use(discardUnread(bodyPatience));
  app.use(onlyOwnHostNames());
  app.use(async function configuration(c, next) {
    c.set('config', readConfig(c.env));
    await next();
  });

  const key = authenticate(directory);
  const operator = requireOperator();
  const open: Middleware = (_c, next) => next();
  const routes: Record<string, Partial<Record<Method, [Middleware, Route]>>> = {
    '/': { GET: [open, frontPage(pool)] },
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
    for (const [method, [access, route]] of Object.entries(methods)) {
      // Only now, when it is known who asks, is anything read.
      if (method === 'GET') app.on(method, path, access, route);
      else app.on(method, path, access, readBody(bodyPatience), route);
    }
    app.all(path, methodNotAllowed(Object.keys(methods)));
  }
  app.notFound(unknownRoute(Object.keys(routes).filter((path) => !path.includes(':'))));
  return app;
}
