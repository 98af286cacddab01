/**
 * One new beginning for all answers of a request that have no token yet. The backend draws all of
 * them for whoever asks, so each of n that asked by itself would get n times n.
 */
import type { Frame } from '#shared/protocol/generate.ts';
import type { BackendAnswer, StartFrame } from './attempt.ts';
import type { GoOn } from './read-answer.ts';
import { splitChoices } from './split-choices.ts';

/** Who has been told of a new beginning, and its frames for each answer. */
type Anew = {
  next: Promise<{ backend: BackendAnswer; frames: readonly AsyncIterable<Frame[]>[] }>;
  joined: Set<number>;
};

/**
 * @param find finds a backend that begins anew; asked once, whoever of the answers comes first
 * @returns how the answer of this number goes on while it has no token
 */
export function beginAnew(find: GoOn, { count }: { count: number }): (choice: number) => GoOn {
  /** By the `start` of what was lost: all answers have the same one. */
  const begun = new WeakMap<StartFrame, Anew>();

  function ask(...about: Parameters<GoOn>): Anew {
    const lost = about[1].last.start;
    const joined = new Set<number>();
    const next = find(...about).then((backend) => {
      const frames = splitChoices(backend.frames, {
        count,
        readers: () => joined.size,
        // Whoever comes later than that finds nothing to read any more, and asks again.
        onLeft: () => begun.delete(lost),
      });
      return { backend, frames };
    });
    const anew = { next, joined };
    begun.set(lost, anew);
    return anew;
  }

  return (choice) => async (account, about) => {
    const anew = begun.get(about.last.start) ?? ask(account, about);
    anew.joined.add(choice);
    const { backend, frames } = await anew.next;
    // The cast: there is one for each answer.
    return { ...backend, frames: frames[choice] as AsyncIterable<Frame[]> };
  };
}
