/**
 * The test's Worker, with a witness that hangs from the moment that it is told of a plan called
 * `hangs`. The index's own clocks do not go on, so whoever waits for the witness waits until the
 * end of the test.
 */
import type { AuditWitnessBinding } from '../../objects/audit-witness-contract.ts';
import { TenantIndex as RealTenantIndex } from '../../objects/tenant-index.ts';

type IndexEnv = ConstructorParameters<typeof RealTenantIndex>[1];

/** Longer than any test. The runtime breaks off what waits for nothing at all. */
const hang = () => scheduler.wait(60 * 60_000);

export class TenantIndex extends RealTenantIndex {
  constructor(ctx: DurableObjectState, env: IndexEnv) {
    const getByName: NonNullable<AuditWitnessBinding['AUDIT_WITNESS']>['getByName'] = (name) => {
      const witness = env.AUDIT_WITNESS?.getByName(name);
      if (witness === undefined) throw new Error('the test binds a witness');
      return {
        head: () => witness.head(),
        async follow(entries) {
          if (entries.some(({ detail }) => detail.includes('"plan":"hangs"'))) await hang();
          return witness.follow(entries);
        },
      };
    };
    super(ctx, { ...env, AUDIT_WITNESS: { getByName } }, { wait: hang });
  }
}

export { AuditWitness } from '../../objects/audit-witness.ts';
export { PoolDirectory } from '../../objects/pool-directory.ts';
export { TenantObject } from '../../objects/tenant-object.ts';
export { TenantStore } from '../../objects/tenant-store.ts';
export { default, LiveTraffic, TenantAccount, TenantResponses, TenantTraffic } from './main.ts';
