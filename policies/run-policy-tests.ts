/**
 * Runs a policy's own tests: what it makes of each prompt, and whether that is what was expected.
 */
import type { Classifier } from '#shared/classify/classify.ts';
import { finish } from '#shared/classify/finish.ts';
import { SIGNALS, type Signal } from '#shared/line/categories.ts';
import type { Action } from '#shared/line/line.ts';
import { forceOf, type SignalValues } from '#shared/line/rules.ts';
import { compile } from './compile.ts';
import type { PolicyTest } from './policy-test-schema.ts';
import type { Policy } from './schema.ts';
import { tightenAll } from './tighten.ts';

type Found = { action: Action; floor: number; budget: number | null; fires: Signal[] };

/** `failures` is empty if the test has passed. Each says what was found and what was wanted. */
export type PolicyTestResult = { name: string; prompt: string; found: Found; failures: string[] };

/**
 * Runs every test of `policy`. `above` are the policies that it will be joined with, such as the
 * operator's. Only the edge's look is taken: a test has no backend.
 */
export const runPolicyTests = (...asked: Parameters<typeof policyTestsInSlices>): PolicyTestResult[] =>
  finish(policyTestsInSlices(...asked));

/** The same, in slices as the classifier's: where others wait for the thread. */
export function* policyTestsInSlices(
  policy: Policy,
  classifier: Pick<Classifier, 'inSlices'>,
  { above = [] }: { above?: readonly Policy[] } = {},
): Generator<number, PolicyTestResult[], void> {
  const joined = tightenAll([policy, ...above]);
  const results: PolicyTestResult[] = [];
  for (const test of policy.tests) {
    const found = findingsOf(joined, yield* classifier.inSlices(test.prompt));
    results.push({ name: test.name ?? test.prompt, prompt: test.prompt, found, failures: failuresOf(test, found) });
  }
  return results;
}

/** The signals whose rules fire, in shadow or not. */
function firing(policy: Pick<Policy, 'categories' | 'shadow'>, signals: SignalValues): Signal[] {
  return SIGNALS.filter((signal) =>
    [policy.categories[signal], policy.shadow[signal]].some(
      (rule) => rule !== undefined && forceOf(rule, signals[signal]) > 0,
    ),
  );
}

function findingsOf(policy: Policy, signals: SignalValues): Found {
  const verdict = compile(policy, signals);
  const fires = firing(policy, signals);
  if (verdict.action !== 'answer') return { action: 'refuse', floor: 1, budget: 0, fires };
  const { action, floor, budget } = verdict.line;
  return { action, floor, budget, fires };
}

function failuresOf({ expect: wanted }: PolicyTest, found: Found): string[] {
  const failures: string[] = [];
  if (wanted.action !== undefined && found.action !== wanted.action) {
    failures.push(`action: found ${found.action}, wanted ${wanted.action}`);
  }
  if (wanted.floor_at_least !== undefined && found.floor < wanted.floor_at_least) {
    failures.push(`floor: found ${found.floor}, wanted at least ${wanted.floor_at_least}`);
  }
  if (wanted.budget_at_most !== undefined && (found.budget ?? Infinity) > wanted.budget_at_most) {
    failures.push(`budget: found ${found.budget ?? 'no budget'}, wanted at most ${wanted.budget_at_most}`);
  }
  const named = found.fires.length === 0 ? 'none' : found.fires.join(', ');
  const silent = (wanted.fires ?? []).filter((signal) => !found.fires.includes(signal));
  if (silent.length > 0) failures.push(`rules that fire: found ${named}, wanted ${silent.join(', ')}`);
  const loud = (wanted.quiet ?? []).filter((signal) => found.fires.includes(signal));
  if (loud.length > 0) failures.push(`rules that fire: found ${named}, wanted no ${loud.join(', no ')}`);
  return failures;
}
