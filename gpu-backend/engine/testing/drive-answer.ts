/** Runs one answer over experts without a scheduler, for tests of an answer by itself. */
import { Answer, type AnswerOptions } from '../answer.ts';
import type { AnswerState } from '../answer-state.ts';
import type { EngineEvent, EngineRequest } from '../engine.ts';
import type { Experts } from '../experts.ts';
import { Job } from '../job.ts';

export type Driven = { events: EngineEvent[]; state: AnswerState };

/**
 * Draws until the answer ends or has `atMost` more tokens. Either way, it gives its sequences back.
 */
export async function driveAnswer(
  experts: Experts,
  { request, options, atMost = Infinity }: { request: EngineRequest; options: AnswerOptions; atMost?: number },
): Promise<Driven> {
  const answer = new Answer(request, options);
  const job = new Job(0, answer, { experts, warn: () => {} });
  job.open();
  const events: EngineEvent[] = [];
  let feeds = answer.history();
  for (let drawn = 0; drawn < atMost && !answer.ended; drawn++) {
    for (const feed of feeds.slice(0, -1)) job.take(await Promise.allSettled(experts.append(job.steps(feed))));
    events.push(...job.draw(await Promise.allSettled(experts.append(job.steps(feeds.at(-1)!)))));
    feeds = [answer.next()];
  }
  job.close();
  return { events, state: answer.state() };
}
