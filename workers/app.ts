/**
 * The edge on one page: what every request passes through, in order, and the table of routes. A
 * path that is not in the table is a 404. A method that is not in the table for its path is a 405.
 */
import { Hono } from 'hono';
import type { Policy } from '#policies/schema.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { HEARTBEAT_PATH } from '#shared/protocol/heartbeat.ts';
import { createAdminApi } from './control/admin-api.ts';
import { createAnswerCache } from './gateway/answer-cache.ts';
import { createPromptAnswerer } from './gateway/answer-prompt.ts';
import { DEFAULT_TIMEOUTS, type Timeouts } from './gateway/attempt.ts';
import { createBackendPool } from './gateway/backend-pool.ts';
import { chatCompletions } from './gateway/chat-completions.ts';
import { completions } from './gateway/completions.ts';
import { createDecide } from './gateway/decide.ts';
import { createFreeWork } from './gateway/free-work.ts';
import { frontPage } from './gateway/front-page.ts';
import { bareHealth, health, version } from './gateway/health.ts';
import { hearHeartbeat } from './gateway/hear-heartbeat.ts';
import { keepPrompts } from './gateway/keep-prompts.ts';
import { createKeptAnswers, type SharedCache } from './gateway/kept-answers.ts';
import { meterAfter } from './gateway/limits.ts';
import { listModels, retrieveModel } from './gateway/models.ts';
import { moderations } from './gateway/moderations.ts';
import { poolMembers } from './gateway/pool-members.ts';
import { live, ready } from './gateway/readiness.ts';
import { scoreAnswer } from './gateway/score.ts';
import { detokenize, tokenize } from './gateway/tokenize.ts';
import { createTrafficFeed } from './gateway/traffic-feed.ts';
import { watchTraffic } from './gateway/watch-traffic.ts';
import { openApi } from './openapi/serve.ts';
import { authenticate } from './request/authenticate.ts';
import { createConfigReader } from './request/config.ts';
import type { AppEnv } from './request/context.ts';
import { cors } from './request/cors.ts';
import { onlyOwnHostNames } from './request/host-names.ts';
import { noStore } from './request/no-store.ts';
import { type BodyPatience, DEFAULT_BODY_PATIENCE, discardUnread, readBodyAfter } from './request/read-body.ts';
import { methodNotAllowed, renderError } from './request/render-error.ts';
import { requestId } from './request/request-id.ts';
import { requestTrace } from './request/request-trace.ts';
import { createTenantDirectory, DEFAULT_FRESHNESS, type Freshness } from './request/tenant-directory.ts';
import { unknownRoute } from './request/unknown-route.ts';
import { responsesBorder } from './responses/border.ts';
import { deleteResponse, listInputItems, retrieveResponse } from './responses/stored.ts';
import { consoleRoutes } from './session/console-routes.ts';

export type AppOptions = {
  classifier: Classifier;
  /** Joined with every tenant's own policy. */
  operatorPolicy: Policy;
  timeouts?: Timeouts;
  freshness?: Freshness;
  bodyPatience?: BodyPatience;
  /** How long a backend rests after its first failure. */
  restMs?: number;
  /** Where isolates share answers; null or left out: each keeps its own. */
  openCache?: (() => Promise<SharedCache>) | null;
};

export function createApp({
  classifier,
  operatorPolicy,
  timeouts = DEFAULT_TIMEOUTS,
  freshness = DEFAULT_FRESHNESS,
  bodyPatience = DEFAULT_BODY_PATIENCE,
  restMs,
  openCache = null,
}: AppOptions): Hono<AppEnv> {
  const readConfig = createConfigReader();
  const directory = createTenantDirectory({ operatorPolicy, freshness });
  const pool = createBackendPool({ ...(restMs !== undefined && { restMs }) });
  const decide = createDecide(classifier);
  const findAnswer = createAnswerCache(createKeptAnswers({ openCache }));
  const classifierVersion = classifier.version;

  const app = new Hono<AppEnv>();
  app.onError(renderError);
  app.use(requestId());
  app.use(noStore());
  app.use(discardUnread(bodyPatience));
  app.use(onlyOwnHostNames());
  app.use(async function configuration(c, next) {
    c.set('config', readConfig(c.env));
    await next();
  });
  app.use(cors());
  app.use(requestTrace());

  const key = authenticate(directory);
  const keyAndBody = readBodyAfter(key, bodyPatience);
  const metered = meterAfter(keyAndBody);
  const watched = watchTraffic(createTrafficFeed());
  const answerer = createPromptAnswerer({ decide, pool, classifierVersion, timeouts, findAnswer });
  const free = createFreeWork();
  const complete = chatCompletions(answerer);
  const completePrompts = completions(answerer, { pool, free });
  const list = listModels(pool);
  const retrieve = retrieveModel(pool);
  const moderate = moderations(classifier);
  const toTokens = tokenize(pool, free);
  const toText = detokenize(pool, free);
  app
    .get('/', frontPage(pool))
    // The routes behind `key`, `keyAndBody` or `metered` are called through a function, so that
    // leaving it out does not compile.
    .post('/v1/chat/completions', metered, watched, keepPrompts(), (c) => complete(c))
    .post('/v1/completions', metered, watched, keepPrompts(), (c) => completePrompts(c))
    .post('/v1/responses', metered, watched, responsesBorder(), keepPrompts(), (c) => complete(c))
    .get('/v1/responses/:id', key, (c) => retrieveResponse(c))
    .delete('/v1/responses/:id', key, (c) => deleteResponse(c))
    .get('/v1/responses/:id/input_items', key, (c) => listInputItems(c))
    .get('/v1/models', key, (c) => list(c))
    .get('/v1/models/:id{.+}', key, (c) => retrieve(c))
    .post('/v1/moderations', keyAndBody, (c) => moderate(c))
    .post('/tokenize', metered, (c) => toTokens(c))
    .post('/detokenize', metered, (c) => toText(c))
    .get('/.well-known/jwks.json', (c) => c.json(c.var.config.publicJwks))
    .get('/healthz', health(pool))
    .get('/health', bareHealth(pool))
    .get('/version', version)
    .get('/livez', live)
    .get('/readyz', ready(pool, directory))
    .get('/openapi.json', openApi())
    .post(HEARTBEAT_PATH, hearHeartbeat())
    .route('/', consoleRoutes({ directory, bodyPatience }))
    .route(
      '/',
      createAdminApi({
        ...{ directory, operatorPolicy, classifier, bodyPatience, complete },
        score: (asked, c) => scoreAnswer(asked, { c, pool }),
        poolOf: (c) => poolMembers(pool, c),
      }),
    );
  refuseTheRest(app);
  return app;
}

function refuseTheRest(app: Hono<AppEnv>): void {
  const methods = new Map<string, Set<string>>();
  // Routes of the method `ALL` are middleware.
  for (const { path, method } of app.routes.filter(({ method }) => method !== 'ALL')) {
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, allowed] of methods) app.all(path, methodNotAllowed([...allowed]));
  app.notFound(unknownRoute([...methods.keys()].filter((path) => !path.includes(':'))));
}
