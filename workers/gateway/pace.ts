/**
 * Long work on the isolate's one thread, in slices: between two of them everybody else gets a turn. What counts is the work
 * and not the clock, because on Cloudflare the clock stands still while a Worker computes.
 */

/** Lets whatever else waits run: other requests' events, streams, timers. */
type Pause = () => Promise<void>;
const nextTurn: Pause = () => new Promise((resolve) => setTimeout(resolve, 0));

export type Pacer = {
  /** Runs `slices` to its end, whose value it gives; each yield says how much work was done since the last. */
  drive<T>(slices: Generator<number, T, void>): Promise<T>;
};

/** One for a request, so that many small texts are paced like a large one. `most`: work between two pauses. */
export function createPacer({ most, pause = nextTurn }: { most: number; pause?: Pause }): Pacer {
  let sincePause = 0;
  return {
    async drive(slices) {
      for (;;) {
        const { done, value } = slices.next();
        if (done) return value;
        sincePause += value;
        if (sincePause < most) continue;
        sincePause = 0;
        await pause();
      }
    },
  };
}
