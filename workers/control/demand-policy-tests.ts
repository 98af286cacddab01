/** A policy that goes live has to pass its own tests, under the levels above it. */

import { runPolicyTests } from '#policies/run-policy-tests.ts';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Classifier } from '#shared/classify/classify.ts';

/** Throws an error that names the first test that fails. */
export function demandPolicyTests(
  policy: Policy,
  { classifier, above }: { classifier: Classifier; above: readonly Policy[] },
): void {
  const failed = runPolicyTests(policy, classifier, { above }).filter(({ failures }) => failures.length > 0);
  const [first] = failed;
  if (first === undefined) return;
  throw new PlimsollError(
    'invalid_value',
    `${failed.length} of the policy's own tests fail${failed.length > 1 ? ', the first of them' : ''}: '${first.name}': ${first.failures.join('; ')}.`,
    { param: 'policy.tests' },
  );
}
