/**
 * The Worker with the scripted classifier, for backends that are killed and started again while a
 * busy machine runs them all: it hears soon that one is silent, and looks long for another one.
 */
import { consumeUsage } from '../../account/consume-usage.ts';
import type { UsageMessage } from '../../account/outbox.ts';
import { createApp } from '../../app.ts';
import type { Env } from '../../request/env.ts';
import { OPERATOR_POLICY } from '../../request/operator-policy.ts';
import { scriptedClassifier } from './scripted-classifier.ts';

const app = createApp({
  classifier: scriptedClassifier,
  operatorPolicy: OPERATOR_POLICY,
  timeouts: { startMs: 10_000, frameMs: 3_000, hedgeMs: 750, resumeMs: 30_000, besideMs: 1_000 },
  restMs: 250,
});

export default { fetch: app.fetch, queue: consumeUsage } satisfies ExportedHandler<Env, UsageMessage>;
export { TenantAccount } from '../../account/tenant-account.ts';
export { AuditWitness } from '../../objects/audit-witness.ts';
export { PoolDirectory } from '../../objects/pool-directory.ts';
export { TenantIndex } from '../../objects/tenant-index.ts';
export { TenantObject } from '../../objects/tenant-object.ts';
export { TenantStore } from '../../objects/tenant-store.ts';
export { TenantResponses } from '../../stored-responses/tenant-responses.ts';
export { LiveTraffic } from '../../traffic/live-traffic.ts';
export { TenantTraffic } from '../../traffic/tenant-traffic.ts';
