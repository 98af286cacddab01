import { expect, test } from 'vitest';
import type { Signals } from '#shared/classify/classify.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { policyTestsInSlices, runPolicyTests } from './run-policy-tests.ts';
import { LOOSEST, Policy } from './schema.ts';

const benign = Object.fromEntries(SIGNALS.map((signal) => [signal, 0])) as Signals;
/** Finds what a prompt names, surely. */
const classifier = {
  *inSlices(text: string): Generator<number, Signals, void> {
    yield text.length;
    const named = SIGNALS.filter((signal) => text.includes(signal));
    return { ...benign, ...Object.fromEntries(named.map((signal) => [signal, 1])) };
  },
};
const ramp = { from: 0.5, full: 0.9 };
const withTest = (prompt: string, expected: object, more: object = {}) =>
  Policy.parse({
    floor: 0.2,
    budget: 10,
    categories: { hate: { action: 'refuse', ramp }, violence: { floor: 0.8, budget: 3, ramp } },
    shadow: { privacy: { floor: 1, ramp } },
    tests: [{ prompt, expect: expected }],
    ...more,
  });
const failures = (...args: Parameters<typeof withTest>) => runPolicyTests(withTest(...args), classifier)[0]!.failures;

test.each([
  ['hello', { action: 'mix', floor_at_least: 0.2, budget_at_most: 10, fires: [], quiet: ['violence', 'hate'] }],
  ['violence', { action: 'mix', floor_at_least: 0.8, budget_at_most: 3, fires: ['violence'], quiet: ['hate'] }],
  ['hate', { action: 'refuse', fires: ['hate'] }],
  ['hate', { floor_at_least: 1, budget_at_most: 0 }],
  ['privacy', { action: 'mix', fires: ['privacy'] }],
])('what %s brings passes %j', (prompt, expected) => {
  expect(failures(prompt, expected)).toEqual([]);
});

test.each([
  ['hello', { action: 'refuse' }, 'action: found mix, wanted refuse'],
  ['hello', { floor_at_least: 0.5 }, 'floor: found 0.2, wanted at least 0.5'],
  ['hello', { budget_at_most: 5 }, 'budget: found 10, wanted at most 5'],
  ['hello', { fires: ['hate'] }, 'rules that fire: found none, wanted hate'],
  ['violence', { quiet: ['violence'] }, 'rules that fire: found violence, wanted no violence'],
])('what %s brings fails %j, and the failure says so', (prompt, expected, failure) => {
  expect(failures(prompt, expected)).toEqual([failure]);
});

test('without a budget, none is at most any number', () => {
  expect(failures('hello', { budget_at_most: 1e6 }, { budget: null })).toEqual([
    'budget: found no budget, wanted at most 1000000',
  ]);
});

test('a test can be run under the policies above, and is called by its name or its prompt', () => {
  const policy = withTest('hello', { floor_at_least: 0.5 });
  const [result] = runPolicyTests(policy, classifier, { above: [{ ...LOOSEST, floor: 0.6 }] });
  expect(result).toMatchObject({ name: 'hello', found: { floor: 0.6 }, failures: [] });
  const named = withTest('x', {}, { tests: [{ name: 'A greeting', prompt: 'hello', expect: { action: 'mix' } }] });
  expect(runPolicyTests(named, classifier)).toMatchObject([{ name: 'A greeting', prompt: 'hello', failures: [] }]);
});

test('between its prompts and within them, others get the thread', () => {
  const expected = { quiet: ['hate'] };
  const tests = ['good bye', 'hello'].map((prompt) => ({ prompt, expect: expected }));
  const policy = withTest('hello', expected, { tests });
  expect([...policyTestsInSlices(policy, classifier)]).toEqual(['good bye'.length, 'hello'.length]);
});
