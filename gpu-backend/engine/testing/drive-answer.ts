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
    draft = () => [],
    onEvents = () => {},
  }: {
    request: EngineRequest;
    options: AnswerOptions;
    atMost?: number;
    chunk?: number;
    /** What each step after the first reads ahead: fewer tokens than are left. */
    draft?: (answer: Pick<Answer, 'ids' | 'left'>) => readonly number[];
    /** Gets events as they come: if the answer breaks off, they are all that there is. */
    onEvents?: (events: readonly EngineEvent[]) => void;
  },
): Promise<Driven> {
  const answer = new Answer(request, { ...options, topK: experts.abilities.topK });
  if (answer.isOver) {
    const events = answer.finish();
    onEvents(events);
    return { events, state: answer.state() };
  }
  const job = new Job(0, answer, { experts, warn: () => {} });
  job.open();
  const events: EngineEvent[] = [];
  const before = answer.ids.length;
  let ahead: readonly number[] = [];
  try {
    while (answer.ids.length - before < atMost && !answer.ended) {
      const feed = job.next(chunk, ahead);
      const results = await Promise.allSettled(experts.append(job.steps(feed)));
      job.look(feed, results);
      const news = job.goOn(feed, results);
      events.push(...news);
      onEvents(news);
      // If a step failed with a draft, the next one has none.
      ahead = news.length === 0 || answer.ended ? [] : draft(answer);
    }
  } finally {
    job.close();
  }
  return { events, state: answer.state() };
}
