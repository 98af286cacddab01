import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOOSEST, Policy, STRICTEST } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { canonicalPolicy, policyVersion, readStoredPolicy, STRICTEST_VERSION } from './version.ts';

test('a policy survives being stored, and equal content has the same version', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryPolicy, async (document) => {
      const policy = Policy.parse(document);
      const text = canonicalPolicy(policy);
      const version = await policyVersion(text);
      const stored = await readStoredPolicy(text, version);
      expect(stored).toMatchObject({ version, problem: null });
      expect(canonicalPolicy(stored.policy)).toBe(text);
      const shuffled = Object.fromEntries(Object.entries(policy).reverse()) as Policy;
      expect(await policyVersion(canonicalPolicy(shuffled))).toBe(version);
    }),
  );
});

const version = (text: string) => policyVersion(text);

test.each([
  ['missing', async () => readStoredPolicy(null, null)],
  ['under another version', async () => readStoredPolicy(canonicalPolicy(LOOSEST), '0123456789abcdef')],
  ['not JSON', async () => readStoredPolicy('{"floor":', await version('{"floor":'))],
  ['empty', async () => readStoredPolicy('{}', await version('{}'))],
  ['of another shape', async () => readStoredPolicy('{"floor":"0"}', await version('{"floor":"0"}'))],
])('a stored policy that is %s becomes the strictest one', async (_name, read) => {
  const stored = await read();
  expect(stored).toMatchObject({ policy: STRICTEST, version: STRICTEST_VERSION });
  expect(stored.problem).toMatch(/policy/);
});

test.each([
  ['an unknown field', { floor: 0, budget: null, flor: 1 }],
  [
    'a category called __proto__',
    JSON.parse('{"floor":0,"budget":null,"categories":{"__proto__":{"floor":1,"ramp":{"from":0,"full":1}}}}'),
  ],
  ['a field called __proto__', JSON.parse('{"floor":0,"budget":null,"__proto__":{"floor":1}}')],
  [
    'a category called constructor',
    { floor: 0, budget: null, categories: { constructor: { ramp: { from: 0, full: 1 } } } },
  ],
  ['an unknown category', { floor: 0, budget: null, categories: { nonsense: { ramp: { from: 0, full: 1 } } } }],
  ['no floor', { budget: null }],
  ['no budget', { floor: 0 }],
  ['a backwards ramp', { floor: 0, budget: 1, categories: { hate: { ramp: { from: 0.9, full: 0.1 } } } }],
  ['a floor above 1', { floor: 1.1, budget: null }],
  ['a negative budget', { floor: 0, budget: -1 }],
])('a policy with %s is refused', (_name, document) => {
  expect(Policy.safeParse(document).success).toBe(false);
});

const shipped = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as unknown;

test.each([
  ['demo/strict.json', 0.9, 2, false],
  ['demo/balanced.json', 0.3, 20, true],
  ['demo/open.json', 0, null, true],
  ['presets/operator.json', 0, null, true],
])('%s is a valid policy', (name, floor, budget, layers_mode) => {
  expect(Policy.parse(shipped(`./${name}`))).toMatchObject({ floor, budget, layers_mode });
});
