/**
 * The Worker with the scripted classifier, and with timeouts and caches short enough for tests.
 * Everything else is real.
 */
import { consumeUsage } from '../../account/consume-usage.ts';
import type { UsageMessage } from '../../account/outbox.ts';
import { createApp } from '../../app.ts';
import type { Env } from '../../request/env.ts';
import { OPERATOR_POLICY } from '../../request/operator-policy.ts';
import { callAccount } from './scripted-account.ts';
import { scriptedClassifier } from './scripted-classifier.ts';
import { ringResponses } from './scripted-responses.ts';
import { callTraffic } from './scripted-traffic.ts';

const app = createApp({
  classifier: scriptedClassifier,
  operatorPolicy: OPERATOR_POLICY,
  timeouts: { startMs: 2_000, frameMs: 1_000, hedgeMs: 250, resumeMs: 1_000, besideMs: 1_000 },
  bodyPatience: { silenceMs: 500, wholeMs: 1_500, unwantedMs: 500 },
  restMs: 100,
  freshness: { isolateTtlMs: 300, kvMaxAgeMs: 60_000 },
  openCache: () => caches.open('plimsoll-answers'),
});

export default {
  fetch: (request, env, ctx) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/testing/account') return callAccount(request, env);
    if (pathname === '/testing/responses') return ringResponses(request, env);
    return pathname === '/testing/traffic' ? callTraffic(request, env) : app.fetch(request, env, ctx);
  },
  queue: consumeUsage,
} satisfies ExportedHandler<Env, UsageMessage>;
export { AuditWitness } from '../../objects/audit-witness.ts';
export { PoolDirectory } from '../../objects/pool-directory.ts';
export { TenantIndex } from '../../objects/tenant-index.ts';
export { TenantObject } from '../../objects/tenant-object.ts';
export { TenantStore } from '../../objects/tenant-store.ts';
export { LiveTraffic } from '../../traffic/live-traffic.ts';
export { ScriptedAccount as TenantAccount } from './scripted-account.ts';
export { ScriptedResponses as TenantResponses } from './scripted-responses.ts';
export { ScriptedTraffic as TenantTraffic } from './scripted-traffic.ts';
