/**
 * Work that holds the server's thread is done one piece at a time, with a breath in between, so
 * that answers keep flowing. What does not fit into the queue is refused at once.
 */
import { setImmediate as breath } from 'node:timers/promises';
import { PlimsollError } from '#shared/api/errors.ts';

type Turns = <T>(work: () => T) => Promise<T>;

/**
 * The returned function throws `overloaded` if too many are waiting.
 *
 * @param mostWaiting how many may wait behind the one at work
 */
export function createTurns({ mostWaiting }: { mostWaiting: number }): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let present = 0;
  return async (work) => {
    if (present > mostWaiting) {
      throw new PlimsollError('overloaded', 'This backend has too much to tokenize. Please try again.');
    }
    present++;
    const turn = last.then(() => breath()).then(work);
    last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      present--;
    }
  };
}
