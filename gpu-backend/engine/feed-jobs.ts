/**
 * One run for several requests. Each goes on as soon as its own steps have settled, and where the
 * run fails as a whole, they find out whose fault it was.
 */
import type { Feed } from './answer-feeds.ts';
import type { Experts, Output, Step } from './experts.ts';
import type { FairWork } from './fair-work.ts';
import type { Job } from './job.ts';

export type Fed = { job: Job; feed: Feed };
type Failed = Fed & { steps: Step[]; results: PromiseSettledResult<Output>[] };

type FeedOptions = {
  experts: Experts;
  /** Gets the tokens that are fed for each tenant. */
  work: FairWork;
  /** Continues a request with what came of its steps. */
  goOn: (fed: Fed, results: readonly PromiseSettledResult<Output>[]) => void;
  /** Whether it is still in the batch; it may have been cancelled meanwhile. */
  runs: (job: Job) => boolean;
  /** @returns milliseconds */
  now: () => number;
};

/**
 * Feeds all these requests in one run, and continues each one as soon as its own steps have
 * settled. A request that cannot go on fails alone.
 *
 * If several requests get the very same error, their run has failed as a whole, and nobody knows
 * which of them it could not take. So each of them is tried once more, alone. A failed step has
 * left its sequence as it was.
 *
 * @returns how long that took, in ms, and how much of it was the run: null if a step of it
 *   failed, because such a run says nothing about others
 */
export async function feedJobs(
  fed: readonly Fed[],
  { experts, work, goOn, runs, now }: FeedOptions,
): Promise<{ ms: number; runMs: number | null }> {
  const began = now();
  const steps = fed.map(({ job, feed }) => job.steps(feed));
  fed.forEach(({ job }, i) => {
    work.add(job.tenant, sum(steps[i]!.map(({ ids }) => ids.length)));
  });
  const outputs = experts.append(steps.flat());
  // Before any answer goes on.
  const ran = outputs[0]?.then(now, now);
  const own = steps.map(({ length }) => outputs.splice(0, length));
  const failed: Failed[] = [];
  await Promise.all(
    fed.map(async (one, i) => {
      const results = await Promise.allSettled(own[i]!);
      if (results.every(({ status }) => status === 'fulfilled')) goOn(one, results);
      else failed.push({ ...one, steps: steps[i]!, results });
    }),
  );
  for (const one of failed) {
    const together = failed.some((other) => other !== one && failedTogether(one, other));
    goOn(one, together && runs(one.job) ? await retry(one, experts) : one.results);
  }
  const runMs = failed.length > 0 ? null : ((await ran) ?? began) - began;
  return { ms: now() - began, runMs };
}

/** Only the steps that failed; the others have fed their sequences. */
async function retry({ steps, results }: Failed, experts: Experts): Promise<PromiseSettledResult<Output>[]> {
  const again = steps.filter((_, i) => results[i]!.status === 'rejected');
  const settled = await Promise.allSettled(experts.append(again));
  return results.map((result) => (result.status === 'rejected' ? settled.shift()! : result));
}

const reasonsOf = ({ results }: Failed): unknown[] =>
  results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));

/** A driver gives the steps of a run that failed as a whole the same error. */
function failedTogether(one: Failed, other: Failed): boolean {
  const reasons = reasonsOf(other);
  return reasonsOf(one).some((reason) => reasons.includes(reason));
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
