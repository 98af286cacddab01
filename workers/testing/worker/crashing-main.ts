/**
 * The test's Worker, with tenants' objects that crash once, at the moment that a name asks for:
 * `crash-after-claim` between the index's word and their own change (`crash-after-revival` only if
 * the tenant comes out of a backup), `crash-before-settle` between their own change and telling the
 * index. For `index-away`, the index is out of reach for a while after the second change, as often
 * as the name's number says. For `account-away`, the account fails that often when it is to be
 * erased (or once), and the alarm then leaves the rest to whoever comes, as it does for names that
 * end with `-held`. The crash is the runtime's own: the object is gone, and what it had not written
 * is lost.
 */

import { type TenantAccountContract, tenantAccount } from '../../objects/tenant-account-contract.ts';
import type { TenantIndexContract } from '../../objects/tenant-contracts.ts';
import { TenantObject as RealTenantObject } from '../../objects/tenant-object.ts';

type ObjectEnv = ConstructorParameters<typeof RealTenantObject>[1];

/** Tenants that have crashed. They live longer than an object does. */
const crashed = new Set<string>();
/** How often the index, or the account, is still away, by tenant. */
const away = new Map<string, number>();

export class TenantObject extends RealTenantObject {
  protected override readonly healAfterMs = 300;
  protected override readonly healAgainMs = 100;
  protected override readonly stagedStaysMs = 300;
  /** Whether the alarm does nothing. */
  readonly #held: { value: boolean };

  constructor(ctx: DurableObjectState, env: ObjectEnv) {
    const crashOnce = (tenant: string, moment: string) => {
      if (!tenant.startsWith(moment) || crashed.has(tenant)) return;
      crashed.add(tenant);
      ctx.abort(moment);
    };
    const getByName = (name: string): TenantIndexContract => {
      const index = env.TENANT_INDEX.getByName(name);
      return {
        locate: (key) => index.locate(key),
        async claim(tenant, claim) {
          const result = await index.claim(tenant, claim);
          crashOnce(tenant, 'crash-after-claim');
          if (claim.revive) crashOnce(tenant, 'crash-after-revival');
          return result;
        },
        auditHead: (tenant) => index.auditHead(tenant),
        async settle(tenant, settlement) {
          // The tenant is made before it crashes.
          if (settlement.audit.some(({ seq }) => seq === 2)) crashOnce(tenant, 'crash-before-settle');
          if (tenant.startsWith('index-away') && settlement.audit.some(({ seq }) => seq === 2)) {
            const left = away.get(tenant) ?? Number(tenant.split('-').at(-1));
            away.set(tenant, left - 1);
            if (left > 0) throw new Error('scripted: the index is away');
          }
          await index.settle(tenant, settlement);
        },
        bury: (tenant, options) => index.bury(tenant, options),
        tenant: (id) => index.tenant(id),
        listTenants: (options) => index.listTenants(options),
        plan: (id) => index.plan(id),
        listPlans: () => index.listPlans(),
        putPlan: (plan, options) => index.putPlan(plan, options),
        deletePlan: (id, options) => index.deletePlan(id, options),
        listAudit: (options) => index.listAudit(options),
        verifyAudit: (known) => index.verifyAudit(known),
      };
    };
    const held = { value: false };
    const accountOf = (name: string): TenantAccountContract => {
      // The cast: the test's edge has accounts.
      const account = tenantAccount(env, name) as TenantAccountContract;
      return {
        ...account,
        async erase(tenant) {
          const left = away.get(tenant) ?? (Number(tenant.split('-').at(2)) || 1);
          held.value = tenant.startsWith('account-away') && left > 0;
          away.set(tenant, left - 1);
          if (held.value) throw new Error('scripted: the account is away');
          await account.erase(tenant);
        },
      };
    };
    super(ctx, { ...env, TENANT_INDEX: { getByName }, TENANT_ACCOUNT: { getByName: accountOf } });
    this.#held = held;
  }

  override async alarm(): Promise<void> {
    const query = "SELECT 1 FROM unsettled WHERE tenant LIKE '%-held'";
    const isHeld = this.#held.value || this.ctx.storage.sql.exec(query).toArray().length > 0;
    if (!isHeld) await super.alarm();
  }
}

export { AuditWitness } from '../../objects/audit-witness.ts';
export { PoolDirectory } from '../../objects/pool-directory.ts';
export { TenantIndex } from '../../objects/tenant-index.ts';
export { TenantStore } from '../../objects/tenant-store.ts';
export { default, LiveTraffic, TenantAccount, TenantResponses, TenantTraffic } from './main.ts';
