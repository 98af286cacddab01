import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { diffPolicies } from './diff.ts';
import { LOOSEST, Policy } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { tighten } from './tighten.ts';

const ramp = { from: 0.5, full: 0.9 };
const before = Policy.parse({
  description: 'Old',
  floor: 0.3,
  budget: null,
  models: ['a', 'b'],
  categories: { hate: { floor: 0.8, ramp }, unread: { floor: 0.8, ramp }, uncertain: { floor: 0.5, ramp } },
});
const changesTo = (document: object) =>
  diffPolicies(before, Policy.parse({ ...JSON.parse(JSON.stringify(before)), ...document }));

describe('lists what has changed and what it does', () => {
  test.each<[string, object, { path: string; from: unknown; to: unknown; effect: string }]>([
    ['a floor', { floor: 0.5 }, { path: 'floor', from: 0.3, to: 0.5, effect: 'tighter' }],
    ['a budget', { budget: 5 }, { path: 'budget', from: null, to: 5, effect: 'tighter' }],
    [
      'an earned budget',
      { earned: { start: 1, rate: 0.5 } },
      { path: 'earned', from: null, to: { start: 1, rate: 0.5 }, effect: 'tighter' },
    ],
    ['models', { models: ['a'] }, { path: 'models', from: ['a', 'b'], to: ['a'], effect: 'tighter' }],
    ['other models', { models: ['c'] }, { path: 'models', from: ['a', 'b'], to: ['c'], effect: 'mixed' }],
    ['words', { description: 'New' }, { path: 'description', from: 'Old', to: 'New', effect: 'none' }],
  ])('%s', (_name, document, change) => {
    expect(changesTo(document)).toEqual([change]);
  });
  test('in a rule, by its path', () => {
    const hate = { floor: 0.7, ramp: { from: 0.4, full: 0.9 } };
    expect(changesTo({ categories: { ...before.categories, hate } })).toEqual([
      { path: 'categories.hate.floor', from: 0.8, to: 0.7, effect: 'looser' },
      { path: 'categories.hate.ramp.from', from: 0.5, to: 0.4, effect: 'tighter' },
    ]);
  });
  test('with a rule that is gone, and one in shadow that is new', () => {
    const { hate, ...others } = before.categories;
    expect(changesTo({ categories: others, shadow: { hate } })).toMatchObject([
      { path: 'categories.hate', from: hate, to: undefined, effect: 'looser' },
      { path: 'shadow.hate', from: undefined, to: hate, effect: 'none' },
    ]);
  });
});

test('there is a change exactly if the documents differ', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
      expect(diffPolicies(a, a)).toEqual([]);
      expect(diffPolicies(a, b).length > 0).toBe(canonicalJson(a) !== canonicalJson(b));
    }),
    { numRuns: 50 },
  );
});

test('from a policy to a tighter one, no change loosens, and back, none tightens', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
      const effects = (from: Policy, to: Policy) => new Set(diffPolicies(from, to).map(({ effect }) => effect));
      const tighter = tighten(a, b);
      expect(['looser', 'mixed'].some((effect) => (effects(a, tighter) as Set<string>).has(effect))).toBe(false);
      expect(['tighter', 'mixed'].some((effect) => (effects(tighter, a) as Set<string>).has(effect))).toBe(false);
    }),
    { numRuns: 30 },
  );
});

test('from the loosest policy, everything that bounds is tighter', () => {
  const effects = diffPolicies(LOOSEST, before).map(({ effect }) => effect);
  expect(effects).not.toContain('looser');
});
