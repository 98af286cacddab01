/**
 * A scheduler without an engine around it. The test runs the rounds, and everything emitted is kept
 * per request. Unless the test has a clock, none passes, so that chunks of prompts always have the
 * same sizes.
 */
import type { PlimsollError } from '#shared/api/errors.ts';
import type { TokenFrame } from '#shared/protocol/generate.ts';
import type { AnswerOptions } from '../answer.ts';
import { DEFAULT_LIMITS, type EngineEvent, type EngineLimits } from '../engine.ts';
import type { Experts } from '../experts.ts';
import { Scheduler, type SchedulerOptions } from '../scheduler.ts';

export type Outcome = { events: EngineEvent[]; error: PlimsollError | null };

export function schedule(
  experts: Experts,
  {
    limits,
    now = () => 0,
    ...options
  }: AnswerOptions & Pick<SchedulerOptions, 'now' | 'drafts' | 'expertDrafts'> & { limits?: Partial<EngineLimits> },
) {
  const outcomes = new Map<number, Outcome>();
  const of = (id: number): Outcome => {
    const outcome = outcomes.get(id) ?? { events: [], error: null };
    outcomes.set(id, outcome);
    return outcome;
  };
  const warnings: string[] = [];
  const scheduler = new Scheduler(experts, {
    ...options,
    limits: { ...DEFAULT_LIMITS, speculation: (options.drafts ?? options.expertDrafts) !== undefined, ...limits },
    now,
    warn: (message, cause) => warnings.push(`${message}: ${cause}`),
    emit: (id, outcome) => {
      if ('error' in outcome) of(id).error = outcome.error;
      else of(id).events.push(...outcome.events);
    },
  });
  return {
    scheduler,
    warnings,
    of,
    tokens: (id: number): TokenFrame[] => of(id).events.filter((event) => event.type === 'token'),
    /** Runs rounds until there is nothing to do. */
    async run(): Promise<void> {
      while (await scheduler.round());
    },
  };
}
