/** Plans: a level of policy between the operator's and a tenant's, for all tenants of a plan. */
import { readLevel } from '#policies/effective.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { etagOf, type IfMatch } from '../objects/if-match.ts';
import { type PlanRecord, tenantIndex } from '../objects/tenant-contracts.ts';
import type { PlanDocument } from '../objects/tenant-record.ts';
import { demandPolicyTests } from './policy-tests.ts';
import { type Admin, asking, type OperatorContext, policyText } from './tenants.ts';

export async function listPlans(c: OperatorContext) {
  return Promise.all((await asking(() => tenantIndex(c.env).listPlans())).map(describePlan));
}

export async function readPlan(id: string, c: OperatorContext) {
  const plan = await asking(() => tenantIndex(c.env).plan(id));
  if (plan === null) throw new PlimsollError('not_found', 'There is no such plan.', { param: 'id' });
  return describePlan(plan);
}

/** Its tenants get a changed policy as the copies of their keys grow old. */
export async function putPlan(
  { id, document, ifMatch }: { id: string; document: PlanDocument; ifMatch: IfMatch },
  { c, admin: { classifier, operatorPolicy } }: { c: OperatorContext; admin: Admin },
) {
  const plan = { id, name: document.name, policy: await policyText(document.policy) };
  await demandPolicyTests(document.policy, { classifier, above: [operatorPolicy] });
  const result = await asking(() => tenantIndex(c.env).putPlan(plan, { actor: c.var.operator, ifMatch }));
  if (result.refused !== null) {
    const { code, message, param } = result.refused;
    const current = result.plan;
    throw new PlimsollError(code, message, {
      param,
      ...(current !== null && { current: { etag: etagOf(current.revision), value: await describePlan(current) } }),
    });
  }
  return describePlan(result.plan);
}

export async function deletePlan({ id, ifMatch }: { id: string; ifMatch: IfMatch }, c: OperatorContext) {
  const refused = await asking(() => tenantIndex(c.env).deletePlan(id, { actor: c.var.operator, ifMatch }));
  if (refused !== null) throw new PlimsollError(refused.code, refused.message, { param: refused.param });
  return { id, deleted: true as const };
}

async function describePlan({ document, ...plan }: PlanRecord) {
  const { policy, problem } = await readLevel('plan', document, plan.policy_version);
  return { ...plan, policy, problem };
}
