/** Runs one answer over experts without a scheduler, for tests of an answer by itself. */
import { Answer, type AnswerOptions } from '../answer.ts';
import type { AnswerState } from '../answer-state.ts';
import type { EngineEvent, EngineRequest } from '../engine.ts';
import type { Experts } from '../experts.ts';
import { Job } from '../job.ts';

export type Driven = { events: EngineEvent[]; state: AnswerState };

/**
 * Draws until the answer ends or has `atMost` more tokens. Either way, it gives its sequences back.
 * It reads at most `chunk` tokens of a row at a time.
 */
export async function driveAnswer(
  experts: Experts,
  {
    request,
    options,
    atMost = Infinity,
    chunk = Infinity,
  }: { request: EngineRequest; options: AnswerOptions; atMost?: number; chunk?: number },
): Promise<Driven> {
  const answer = new Answer(request, { ...options, topK: experts.abilities.topK });
  const job = new Job(0, answer, { experts, warn: () => {} });
  job.open();
  const events: EngineEvent[] = [];
  try {
    for (let drawn = 0; drawn < atMost && !answer.ended; ) {
      const feed = job.next(chunk);
      const news = job.goOn(feed, await Promise.allSettled(experts.append(job.steps(feed))));
      if (news.length > 0) drawn++;
      events.push(...news);
    }
  } finally {
    job.close();
  }
  return { events, state: answer.state() };
}
