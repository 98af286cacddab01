import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SIGNALS } from '#shared/line/categories.ts';
import { compile } from './compile.ts';
import { LOOSEST, Policy, PolicyPart, STRICTEST } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import storedBy010 from './testing/stored-by-0-1-0.json' with { type: 'json' };
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

test('a version is 128 bits of SHA-256', async () => {
  const version = await policyVersion('{}');
  expect(version).toBe(createHash('sha256').update('{}').digest('hex').slice(0, 32));
});

test('what 0.1.0 has stored is read, under its version of 64 bits, with the same meaning', async () => {
  // The demo tenant that is called balanced.
  const { version, document } = storedBy010;
  const read = await readStoredPolicy(document, version);
  expect(read).toMatchObject({ version, problem: null });
  // The cast: what was stored was this.
  const { layers_mode, limits, ...same } = JSON.parse(document) as { layers_mode: boolean; limits: object };
  expect(layers_mode).toBe(true);
  expect(read.policy).toMatchObject({ ...same, limits, modes: ['logits', 'layers'] });
  const signals = { ...Object.fromEntries(SIGNALS.map((signal) => [signal, 0])), violence: 0.7 };
  const now = Policy.parse(shipped('./demo/balanced.json'));
  expect(compile(read.policy, signals)).toEqual(compile(now, signals));
  expect(await readStoredPolicy(document.replace('0.3', '0.2'), version)).toMatchObject({ policy: STRICTEST });
  expect(await readStoredPolicy(document, version.slice(0, 8))).toMatchObject({ policy: STRICTEST });
});

describe('the older word layers_mode', () => {
  const modesOf = (document: object, as: typeof Policy | typeof PolicyPart = Policy) =>
    as.parse({ floor: 0, budget: null, ...document }).modes;

  test('means what it did', () => {
    expect(modesOf({ layers_mode: true })).toEqual(['logits', 'layers']);
    expect(modesOf({ layers_mode: false })).toEqual(['logits']);
    expect(modesOf({})).toEqual(['logits']);
    expect(modesOf({ layers_mode: false }, PolicyPart)).toEqual(['logits']);
    expect(modesOf({}, PolicyPart)).toEqual(['logits', 'layers', 'edge']);
  });
  test('does not go with modes', () => {
    expect(() => modesOf({ layers_mode: true, modes: ['logits'] })).toThrow(/only one of 'modes'/);
  });
});

test('shadow: true moves a rule into shadow, where the same rule is the same document', async () => {
  const rule = { floor: 0.9, ramp: { from: 0.5, full: 0.9 } };
  const other = { hate: rule };
  const flagged = Policy.parse({
    floor: 0,
    budget: null,
    categories: { ...other, violence: { ...rule, shadow: true } },
  });
  expect(flagged).toEqual(Policy.parse({ floor: 0, budget: null, categories: other, shadow: { violence: rule } }));
  expect(flagged.categories.violence).toBeUndefined();
  const applied = Policy.parse({ floor: 0, budget: null, categories: { violence: { ...rule, shadow: false } } });
  expect(applied.categories.violence).toMatchObject(rule);
  expect(() =>
    Policy.parse({ floor: 0, budget: null, categories: { hate: { ...rule, shadow: true } }, shadow: other }),
  ).toThrow(/only one shadow rule/);
});

test('a shadow rule asks for no rules for text that was not understood', () => {
  const rule = { floor: 0.9, shadow: true, ramp: { from: 0.5, full: 0.9 } };
  expect(Policy.parse({ floor: 0, budget: null, categories: { violence: rule } }).categories).toEqual({});
});

test('the order of modes, models and tests, and what is said twice, makes no other document', async () => {
  const tests = ['Hello', 'Bread?'].map((prompt) => ({ prompt, expect: { action: 'mix' } }));
  const one = { floor: 0, budget: null, modes: ['layers', 'logits'], models: ['b', 'a'], tests };
  const other = {
    ...one,
    modes: ['logits', 'layers'],
    models: ['a', 'b', 'a'],
    tests: [...tests.toReversed(), tests[0]],
  };
  expect(canonicalPolicy(Policy.parse(one))).toBe(canonicalPolicy(Policy.parse(other)));
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
  ['modes without logits', { floor: 0, budget: null, modes: ['layers'] }],
  ['a test that expects nothing', { floor: 0, budget: null, tests: [{ prompt: 'Hello', expect: {} }] }],
  ['a limit of 0', { floor: 0, budget: null, limits: { requests_per_minute: 0 } }],
])('a policy with %s is refused', (_name, document) => {
  expect(Policy.safeParse(document).success).toBe(false);
});

const shipped = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8')) as unknown;

test.each([
  ['demo/strict.json', 0.9, 2, ['logits']],
  ['demo/balanced.json', 0.3, 20, ['logits', 'layers']],
  ['demo/open.json', 0, null, ['logits', 'layers']],
  ['presets/operator.json', 0, null, ['logits', 'layers', 'edge']],
])('%s is a valid policy', (name, floor, budget, modes) => {
  expect(Policy.parse(shipped(`./${name}`))).toMatchObject({ floor, budget, modes });
});
