import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readPolicy } from './problems.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { canonicalPolicy } from './version.ts';

const fine = { floor: 0.3, budget: 20 };
const ramp = { from: 0.5, full: 0.9 };

test.each<[object | string, { key: string; found: string; wanted: string }]>([
  [
    { ...fine, floor: 2 },
    { key: 'floor', found: '2', wanted: 'at most 1' },
  ],
  [
    { ...fine, floor: '0.3' },
    { key: 'floor', found: '"0.3"', wanted: 'a number' },
  ],
  [{ budget: 20 }, { key: 'floor', found: 'nothing', wanted: 'a number' }],
  [
    { ...fine, flor: 1 },
    { key: 'flor', found: 'an unknown field', wanted: 'a field of the policy language' },
  ],
  [
    { ...fine, action: 'deny' },
    { key: 'action', found: '"deny"', wanted: '"mix" or "safety_only" or "refuse"' },
  ],
  [
    { ...fine, limits: { max_tokens: 1.5 } },
    { key: 'limits.max_tokens', found: '1.5', wanted: 'a whole number' },
  ],
  [
    { ...fine, categories: { hate: { ramp: { from: 0.9, full: 0.1 } } } },
    { key: 'categories.hate.ramp.full', found: 'an object', wanted: "must not lie below 'from'" },
  ],
  [
    { ...fine, categories: { hate: {} } },
    { key: 'categories.hate.ramp', found: 'nothing', wanted: 'an object' },
  ],
  [
    { ...fine, modes: ['layers'] },
    { key: 'modes', found: 'an array of 1', wanted: "a list with 'logits', which needs no permission" },
  ],
  [
    { ...fine, modes: ['logits'], layers_mode: true },
    { key: 'layers_mode', found: 'true', wanted: "only one of 'modes' and its older word 'layers_mode'" },
  ],
  [
    { ...fine, tests: [{ prompt: 'Hello', expect: {} }] },
    {
      key: 'tests.0.expect',
      found: 'an object',
      wanted: 'at least one of action, floor_at_least, budget_at_most, fires, quiet',
    },
  ],
  ['strict', { key: 'the document', found: '"strict"', wanted: 'an object' }],
])('%j is told what is wrong with it', (document, problem) => {
  expect(readPolicy(document, 'policy')).toEqual({ policy: null, problems: [problem] });
});

test('every fault is listed', () => {
  const { problems } = readPolicy({ floor: -1, categories: { hate: { ramp, flor: 1 } } }, 'policy');
  expect(problems.map(({ key }) => key)).toEqual(['floor', 'budget', 'categories.hate.flor']);
});

test('a part needs no floor and no budget', () => {
  expect(readPolicy({}, 'part').problems).toEqual([]);
  expect(readPolicy({}, 'policy').problems).toHaveLength(2);
});

test('any JSON is a policy or has problems, and is never an exception', () => {
  const field = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constant({ hate: { floor: 2 } }), fc.constant('__proto__'));
  const document = fc.tuple(arbitraryPolicy, fc.string(), field).map(([policy, key, value]): unknown => {
    const keys = Object.keys(policy);
    return { ...policy, [keys[key.length % (keys.length + 1)] ?? key]: value };
  });
  fc.assert(
    fc.property(fc.oneof(document, fc.jsonValue()), fc.constantFrom('policy', 'part'), (found, kind) => {
      const { policy, problems } = readPolicy(found, kind);
      expect(policy === null).toBe(problems.length > 0);
      for (const { key, found: what, wanted } of problems) expect([key, what, wanted]).not.toContain('');
      // What has been read once is in its one form.
      if (policy !== null) {
        const again = readPolicy(JSON.parse(canonicalPolicy(policy)), 'policy').policy;
        expect(again && canonicalPolicy(again)).toBe(canonicalPolicy(policy));
      }
    }),
    { numRuns: 500 },
  );
});
