/** A policy's own tests, under the levels above it. What goes live has to pass them. */
import * as z from 'zod';
import { type PolicyTestResult, policyTestsInSlices } from '#policies/run-policy-tests.ts';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { Action } from '#shared/line/line.ts';
import { WORK_BETWEEN_PAUSES } from '../gateway/classify-text.ts';
import { createPacer } from '../gateway/pace.ts';

type Under = { classifier: Classifier; above: readonly Policy[] };

export const PolicyTestsAnswer = z.strictObject({
  object: z.literal('policy.tests'),
  version: z.string(),
  passed: z.boolean().describe('whether all have passed; a policy without tests passes'),
  data: z.array(
    z.strictObject({
      name: z.string(),
      prompt: z.string(),
      passed: z.boolean(),
      found: z.strictObject({
        action: Action,
        floor: z.number(),
        budget: z.number().nullable(),
        fires: z.array(z.enum(SIGNALS)).describe('the signals whose rules fire, in shadow or not'),
      }),
      failures: z.array(z.string()).describe('what was found and what was wanted'),
    }),
  ),
});

export async function testPolicy(
  { policy, version }: { policy: Policy; version: string },
  under: Under,
): Promise<z.infer<typeof PolicyTestsAnswer>> {
  const data = (await testsOf(policy, under)).map((result) => ({
    ...result,
    passed: result.failures.length === 0,
  }));
  return { object: 'policy.tests', version, passed: data.every(({ passed }) => passed), data };
}

/** Throws an error that names the first test that fails; `param` is where they stand. */
export async function demandPolicyTests(
  policy: Policy,
  { param = 'policy.tests', ...under }: Under & { param?: string | undefined },
): Promise<void> {
  const failed = (await testsOf(policy, under)).filter(({ failures }) => failures.length > 0);
  const [first] = failed;
  if (first === undefined) return;
  throw new PlimsollError(
    'invalid_value',
    `${failed.length} of the policy's own tests fail${failed.length > 1 ? ', the first of them' : ''}: '${first.name}': ${first.failures.join('; ')}.`,
    { param },
  );
}

/** Lets others have the thread in between: a policy's tests may have many long prompts. */
const testsOf = (policy: Policy, { classifier, above }: Under): Promise<PolicyTestResult[]> =>
  createPacer({ most: WORK_BETWEEN_PAUSES }).drive(policyTestsInSlices(policy, classifier, { above }));
