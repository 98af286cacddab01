import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectivePolicy } from './effective.ts';
import { LOOSEST, Policy } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { tighten } from './tighten.ts';
import { canonicalPolicy, policyVersion, readStoredPolicy, STRICTEST_VERSION } from './version.ts';

const stored = (policy: Policy) => ({ policy, version: 'of the tenant alone', problem: null });

test('the version is that of the joined policy, and changes exactly when the joined policy does', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryPolicy, arbitraryPolicy, arbitraryPolicy, async (operator, changed, tenant) => {
      const before = await effectivePolicy(operator, stored(tenant));
      const after = await effectivePolicy(changed, stored(tenant));
      expect(before.policy).toEqual(tighten(operator, tenant));
      const sameJoin = canonicalPolicy(before.policy) === canonicalPolicy(after.policy);
      expect(before.version === after.version).toBe(sameJoin);
      expect(before.version).toBe(await policyVersion(canonicalPolicy(before.policy)));
    }),
  );
});

test('tightening one of the operator’s bounds changes the version of a tenant that changed nothing', async () => {
  const tenant = Policy.parse({ floor: 0.2, budget: 5 });
  const versions = await Promise.all(
    [LOOSEST, { ...LOOSEST, floor: 0.4 }, { ...LOOSEST, budget: 3 }].map(async (operator) => {
      return (await effectivePolicy(operator, stored(tenant))).version;
    }),
  );
  expect(new Set(versions).size).toBe(3);
});

test('the version of a broken policy says that it is broken, and what stands in for it', async () => {
  const broken = await readStoredPolicy(null, null);
  const { version } = await effectivePolicy(LOOSEST, broken);
  expect(version).toMatch(new RegExp(`^${STRICTEST_VERSION}-[0-9a-f]{16}$`));
  const { version: other } = await effectivePolicy({ ...LOOSEST, opening: { tokens: 8, floor: 1 } }, broken);
  expect(other).not.toBe(version);
});
