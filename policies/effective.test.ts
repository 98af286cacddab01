import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { effectivePolicy, LEVELS, type Level, type LevelName, readLevel } from './effective.ts';
import { LOOSEST, Policy, PolicyPart, STRICTEST } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { isPolicyAtLeastAsTight } from './testing/tighter.ts';
import { tightenAll } from './tighten.ts';
import { canonicalPolicy, policyVersion, STRICTEST_VERSION } from './version.ts';

const level = (name: LevelName, policy: Policy): Level => ({
  level: name,
  version: 'of its own',
  policy,
  problem: null,
});
/** What bounds something: everything but words and tests. */
const bounds = (policy: Policy): Policy => {
  const wordless = (rules: Policy['categories']) =>
    Object.fromEntries(Object.entries(rules).map(([signal, rule]) => [signal, { ...rule, refusal: null }]));
  const { categories, shadow } = policy;
  const without = { description: null, refusal: null, tests: [] };
  return { ...policy, ...without, categories: wordless(categories), shadow: wordless(shadow) };
};

test('the version is that of the joined policy, and changes exactly when the joined policy does', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryPolicy, arbitraryPolicy, arbitraryPolicy, async (operator, changed, tenant) => {
      const before = await effectivePolicy([level('operator', operator), level('tenant', tenant)]);
      const after = await effectivePolicy([level('operator', changed), level('tenant', tenant)]);
      expect(bounds(before.policy)).toEqual(bounds(tightenAll([operator, tenant])));
      const sameJoin = canonicalPolicy(before.policy) === canonicalPolicy(after.policy);
      expect(before.version === after.version).toBe(sameJoin);
      expect(before.version).toBe(await policyVersion(canonicalPolicy(before.policy)));
    }),
  );
});

test('every level tightens, and the order in which they are listed does not matter', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryPolicy, { minLength: 5, maxLength: 5 }), async (policies) => {
      const levels = LEVELS.map((name, i) => level(name, policies[i]!));
      const { policy, version } = await effectivePolicy(levels);
      for (const each of policies) expect(isPolicyAtLeastAsTight(bounds(policy), bounds(each))).toBe(true);
      expect((await effectivePolicy(levels.toReversed())).version).toBe(version);
    }),
  );
});

test('tightening one of the operator’s bounds changes the version of a tenant that changed nothing', async () => {
  const tenant = level('tenant', Policy.parse({ floor: 0.2, budget: 5 }));
  const versions = await Promise.all(
    [LOOSEST, { ...LOOSEST, floor: 0.4 }, { ...LOOSEST, budget: 3 }].map(async (operator) => {
      return (await effectivePolicy([level('operator', operator), tenant])).version;
    }),
  );
  expect(new Set(versions).size).toBe(3);
});

test('a new description or a new test of the tenant’s does not change the version of what decides', async () => {
  const plain = Policy.parse({ floor: 0.2, budget: 5 });
  const tests = Policy.parse({ floor: 0, budget: null, tests: [{ prompt: 'Hello', expect: { action: 'mix' } }] }).tests;
  const [before, after] = await Promise.all([
    effectivePolicy([level('tenant', plain)]),
    effectivePolicy([level('tenant', { ...plain, description: 'For the shop.', tests })]),
  ]);
  expect(after).toEqual(before);
});

describe('fails closed', () => {
  const strictest = new RegExp(`^${STRICTEST_VERSION}-[0-9a-f]{32}$`);
  const open = level('tenant', Policy.parse({ floor: 0, budget: null }));

  test.each(LEVELS)('if the document of the level %s is missing or broken', async (name) => {
    for (const [document, version] of [
      [null, null],
      ['{"floor":', await policyVersion('{"floor":')],
      ['{"floor":0}', 'f'.repeat(32)],
      ['{"flor":0}', await policyVersion('{"flor":0}')],
    ] as const) {
      const broken = await readLevel(name, document, version);
      expect(broken.problem).toMatch(/policy/);
      const { policy, version: effective } = await effectivePolicy([open, broken]);
      expect(isPolicyAtLeastAsTight(policy, STRICTEST)).toBe(true);
      expect(effective).toMatch(strictest);
    }
  });
  test('if no level is the tenant’s, or there is no level at all', async () => {
    for (const levels of [[], [level('operator', LOOSEST)]]) {
      const { policy, version } = await effectivePolicy(levels);
      expect(isPolicyAtLeastAsTight(policy, STRICTEST)).toBe(true);
      expect(version).toMatch(strictest);
    }
  });
});

test('a part may leave everything out, and a tenant’s document may not', async () => {
  const version = await policyVersion('{}');
  expect(await readLevel('plan', '{}', version)).toMatchObject({ policy: LOOSEST, problem: null });
  expect(await readLevel('tenant', '{}', version)).toMatchObject({ policy: STRICTEST, version: STRICTEST_VERSION });
});

describe('the words of a refusal', () => {
  const saying = (refusal: string | null, ofRule: string | null = null) =>
    PolicyPart.parse({
      refusal,
      categories: { hate: { action: 'refuse', refusal: ofRule, ramp: { from: 0.5, full: 0.9 } } },
    });
  const wordsOf = async (...levels: Level[]) => {
    const { policy } = await effectivePolicy(levels);
    return [policy.refusal, policy.categories.hate!.refusal];
  };

  test('are the tenant’s own before any other level’s', async () => {
    const operator = level('operator', saying('Zero tolerance.', 'Zap.'));
    const key = level('key', saying('Zest.', 'Zoo.'));
    expect(await wordsOf(operator, level('tenant', saying('Ask us.', 'Ahem.')), key)).toEqual(['Ask us.', 'Ahem.']);
    expect(await wordsOf(operator, level('tenant', saying('Ask us.')), key)).toEqual(['Ask us.', 'Zoo.']);
    expect(await wordsOf(operator, level('tenant', saying(null)))).toEqual(['Zero tolerance.', 'Zap.']);
  });
});
