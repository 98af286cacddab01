/** Whether a version passes its own tests, in a sentence. */
import type * as z from 'zod';
import type { PolicyTestsAnswer } from '../../control/policy-tests.ts';
import { callJson } from '../net/api.ts';
import { type Answer, useAnswer } from '../net/use-answer.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';

export type Tested = z.infer<typeof PolicyTestsAnswer>;

/** Runs them at the edge, under the levels above. Nothing changes there. */
export function useTests(at: string, version: string): Answer<Tested> {
  return useAnswer(
    (signal) => callJson<Tested>(`${at}/policies/${version}/test`, { method: 'POST', signal }),
    [at, version],
  );
}

export function TestsVerdict({ tests: { value, error, again } }: { tests: Answer<Tested> }) {
  if (error !== null) return <ErrorNotice error={error} again={again} />;
  if (value === null) return <Waiting what="Running the policy’s own tests …" />;
  const { passed, data } = value;
  const failed = data.filter((test) => !test.passed);
  if (data.length === 0) return <p class="small">The policy has no tests of its own.</p>;
  if (passed) {
    return (
      <p class="notice good" role="status">
        {data.length === 1 ? 'Its one test passes.' : `All ${data.length} of its tests pass.`}
      </p>
    );
  }
  return (
    <p class="notice error" role="status">
      {failed.length} of {data.length} of its tests {failed.length === 1 ? 'fails' : 'fail'}, so it cannot go live.
    </p>
  );
}
