import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { JUDGEMENTS, SIGNALS, type Signal } from '#shared/line/categories.ts';
import type { Line } from '#shared/line/line.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import type { Level, LevelName } from './effective.ts';
import { type Explanation, explain } from './explain.ts';
import { LOOSEST, Policy, PolicyPart } from './schema.ts';
import { arbitraryPolicy, arbitrarySignalValues } from './testing/arbitrary-policy.ts';

const benign = Object.fromEntries(SIGNALS.map((signal) => [signal, 0])) as Record<Signal, number>;
const level = (name: LevelName, policy: Policy): Level => ({
  level: name,
  version: `v-${name}`,
  policy,
  problem: null,
});
const boundOf = ({ bounds }: Explanation, name: string) => bounds.find(({ bound }) => bound === name);

const operator = level(
  'operator',
  PolicyPart.parse({
    limits: { max_tokens: 4096 },
    categories: { hate: { floor: 0.1, ramp: { from: 0.2, full: 0.6 } } },
  }),
);
const tenant = level(
  'tenant',
  Policy.parse({
    floor: 0.3,
    budget: 20,
    refusal: 'We are a bakery.',
    categories: {
      hate: { floor: 0.9, budget: 4, ramp: { from: 0.5, full: 0.9 } },
      self_harm: { action: 'refuse', ramp: { from: 0.4, full: 0.8 } },
    },
    shadow: { privacy: { floor: 1, ramp: { from: 0.5, full: 0.9 } } },
  }),
);
const request = level('request', { ...LOOSEST, budget: 10 });
const levels = [operator, tenant, request];

describe('names for every bound the levels and fields that set it', () => {
  test('where nothing fires, those that set the base', async () => {
    const found = await explain(levels, benign);
    expect(found.verdict).toMatchObject({ action: 'answer', line: { floor: 0.3, budget: 10 } });
    expect(boundOf(found, 'floor')).toEqual({
      bound: 'floor',
      value: 0.3,
      rule: null,
      set_by: [{ level: 'tenant', version: 'v-tenant', field: 'floor' }],
    });
    expect(boundOf(found, 'budget')!.set_by).toEqual([{ level: 'request', version: 'v-request', field: 'budget' }]);
    expect(boundOf(found, 'limits.max_tokens')).toMatchObject({ value: 4096, set_by: [{ level: 'operator' }] });
    expect(boundOf(found, 'ceiling')).toMatchObject({ value: 1, set_by: [] });
    expect(boundOf(found, 'limits.tokens_per_day')).toBeUndefined();
    expect(found.fired).toEqual([]);
  });
  test('where one level set a rule’s floor and another its ramp, both', async () => {
    const found = await explain(levels, { ...benign, hate: 0.4 });
    expect(found.fired).toEqual([
      {
        signal: 'hate',
        look: 'edge',
        probability: 0.4,
        force: expect.closeTo(0.5, 12),
        levels: ['operator', 'tenant'],
      },
    ]);
    const floor = boundOf(found, 'floor')!;
    expect(floor).toMatchObject({ rule: 'hate' });
    expect(floor.value).toBeCloseTo(0.6, 12);
    expect(floor.set_by.map(({ level: name, field }) => `${name} ${field}`)).toEqual([
      'tenant categories.hate.floor',
      'operator categories.hate.ramp.full',
      'operator categories.hate.ramp.from',
      'tenant floor',
    ]);
  });
  test('for a refusal, the rule that refuses, and in whose words', async () => {
    const found = await explain(levels, { ...benign, self_harm: 0.9 });
    expect(found).toMatchObject({ verdict: { action: 'refuse', because: 'self_harm' }, refusal: 'We are a bakery.' });
    expect(boundOf(found, 'action')).toMatchObject({
      value: 'refuse',
      rule: 'self_harm',
      set_by: [{ level: 'tenant' }, {}],
    });
  });
});

test('what only the second look found is said to be its', async () => {
  const backend = lookCategories(JUDGEMENTS.map((judgement) => (judgement === 'hate' ? 0.95 : 0)));
  const found = await explain(levels, { ...benign, privacy: 0.9 }, { backend });
  expect(found.fired).toMatchObject([{ signal: 'hate', look: 'backend', probability: 0.95, force: 1 }]);
  expect(found.verdict).toMatchObject({ action: 'answer', line: { floor: 0.9, budget: 4 } });
  expect(found.directive).toMatchObject({ policy: found.version, line: { floor: 0.3, budget: 10 } });
  expect(Object.keys(found.directive!.second_look!.rules)).toEqual(['hate', 'self_harm', 'unread', 'uncertain']);
  expect(found.shadow).toMatchObject([{ signal: 'privacy', look: 'edge', tightens: true }]);
});

test('a forbidden mode is explained by the levels that forbid it', async () => {
  const found = await explain(levels, benign, { mode: 'layers' });
  expect(found.verdict).toEqual({ action: 'forbid', mode: 'layers' });
  expect(boundOf(found, 'modes')).toMatchObject({ value: ['logits'], set_by: [{ level: 'tenant' }] });
});

test('a level that is broken is named, and so is a tenant that is missing', async () => {
  const broken = { ...operator, problem: 'the policy is not JSON' };
  expect((await explain([broken, tenant], benign)).problems).toEqual([
    { level: 'operator', problem: 'the policy is not JSON' },
  ]);
  expect((await explain([operator], benign)).problems).toEqual([{ level: 'tenant', problem: 'the policy is missing' }]);
});

const lineValue = (line: Line, bound: string): unknown =>
  bound.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | null)?.[key], line);

test('its bounds are those of the line, and the levels that it names are enough to set them', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(arbitraryPolicy, { minLength: 3, maxLength: 3 }),
      arbitrarySignalValues,
      async (policies, signals) => {
        const all = (['operator', 'tenant', 'key'] as const).map((name, i) => level(name, policies[i]!));
        const found = await explain(all, signals);
        for (const { bound, value, set_by } of found.bounds) {
          const { verdict } = found;
          const isOfLine =
            ['action', 'rule', 'floor', 'ceiling', 'budget'].includes(bound) || bound.startsWith('opening');
          if (verdict.action === 'answer' && isOfLine) expect(lineValue(verdict.line, bound), bound).toEqual(value);
          const named = new Set(set_by.map((each) => each.level));
          const enough = all.map((each) => (named.has(each.level) ? each : { ...each, policy: LOOSEST }));
          const again = (await explain(enough, signals)).bounds.find((each) => each.bound === bound);
          // A bound that nobody sets is left out of the second explanation, as of the first.
          expect(again?.value, `${bound} by ${[...named].join(', ')}`).toEqual(value);
        }
      },
    ),
    { numRuns: 60 },
  );
});
