/** Several answers as one sequence of events, each as soon as it comes. */
import type { AnswerEnd, AnswerEvents, ChoiceEnd } from './read-answer.ts';

/**
 * Each answer's events, with its place as their `choice`. Returns all ends once all have ended. If
 * one breaks, all do.
 *
 * @param answers at least one
 * @param firstOf the choice of each answer's own first; left out, each is one choice
 */
export async function* mergeAnswers(
  answers: readonly AnswerEvents[],
  { firstOf = (i) => i }: { firstOf?: (i: number) => number } = {},
): AnswerEvents {
  const ends: ChoiceEnd[][] = answers.map(() => []);
  const pending = new Map<number, Promise<Awaited<ReturnType<typeof ask>>>>();
  async function ask(i: number) {
    return { i, next: await answers[i]!.next() };
  }
  try {
    for (const i of answers.keys()) pending.set(i, ask(i));
    while (pending.size > 0) {
      const { i, next } = await Promise.race(pending.values());
      if (next.done === true) {
        const { more = [], ...first } = next.value;
        ends[i] = [first, ...more];
        pending.delete(i);
        continue;
      }
      const { choice = 0, ...delta } = next.value;
      pending.set(i, ask(i));
      const place = firstOf(i) + choice;
      yield place === 0 ? delta : { ...delta, choice: place };
    }
    return endOf(ends.flat());
  } finally {
    // Nobody waits for those that are left: one may be in the middle of looking for a backend.
    for (const promise of pending.values()) promise.catch(() => undefined);
    // The cast: nobody reads this end.
    void Promise.allSettled([...pending.keys()].map((i) => answers[i]!.return(undefined as unknown as AnswerEnd)));
  }
}

function endOf([first, ...more]: readonly ChoiceEnd[]): AnswerEnd {
  if (first === undefined) throw new Error('found no answers to merge');
  return more.length === 0 ? first : { ...first, more };
}
