/** The jobs of a request: one for each answer. */
import { mostTogether } from './admission.ts';
import { Answer, type AnswerOptions } from './answer.ts';
import type { EngineRequest } from './engine.ts';
import type { Experts } from './experts.ts';
import { Job, type Warn } from './job.ts';

type JobsOptions = {
  experts: Experts;
  answers: AnswerOptions;
  /** The most rows of a batch. */
  maxRows: number;
  warn: Warn;
};

/**
 * One job for each answer. As many as fit into the batch together share a prompt: the first of them
 * reads it, and the others follow. If sequences cannot be forked, each reads it alone.
 */
export function jobsOf(
  id: number,
  request: EngineRequest,
  { experts, answers: options, maxRows, warn }: JobsOptions,
): Job[] {
  const { tenant = '', publicTokens = {}, moreKeys = [] } = request;
  const answers = [request.sampling.key, ...moreKeys].map((_, choice) => new Answer(request, { ...options, choice }));
  const { memory = null } = options;
  const together = experts.abilities.fork ? mostTogether(answers[0]!, { maxRows, memory }) : 1;
  const jobOf = (answer: Answer, followers: readonly Job[] = []) =>
    new Job(id, answer, { experts, warn, tenant, publicTokens, followers });
  const jobs: Job[] = [];
  for (let first = 0; first < answers.length; first += together) {
    const [lead, ...others] = answers.slice(first, first + together);
    jobs.push(
      jobOf(
        lead!,
        others.map((answer) => jobOf(answer)),
      ),
    );
  }
  return jobs;
}
