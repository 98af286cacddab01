/**
 * The Worker as it is deployed, its classifier included, for backends that break in every answer: a
 * backend never rests, and a broken answer is given up soon.
 */
import { createClassifier } from '#shared/classify/classify.ts';
import classifierModel from '../../../models/classifier/classifier.bin';
import { consumeUsage } from '../../account/consume-usage.ts';
import type { UsageMessage } from '../../account/outbox.ts';
import { createApp } from '../../app.ts';
import type { Env } from '../../request/env.ts';
import { OPERATOR_POLICY } from '../../request/operator-policy.ts';

const app = createApp({
  classifier: createClassifier(classifierModel),
  operatorPolicy: OPERATOR_POLICY,
  timeouts: { startMs: 5_000, frameMs: 5_000, hedgeMs: 5_000, resumeMs: 0, besideMs: 1_000 },
  restMs: 0,
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
