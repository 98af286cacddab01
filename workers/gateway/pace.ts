/**
 * Splits long work on the isolate's one thread into slices, so that everybody else gets a turn in
 * between. It counts work rather than time, because on Cloudflare the clock stands still while a
 * Worker computes.
 */

/** Lets everything else that waits run: other requests' events, streams, timers. */
type Pause = () => Promise<void>;
const nextTurn: Pause = () => new Promise((resolve) => setTimeout(resolve, 0));

export type Pacer = {
  /**
   * Runs `slices` to the end and returns its value. Each yield says how much work was done since
   * the last one.
   */
  drive<T>(slices: Generator<number, T, void>): Promise<T>;
};

/**
 * Make one per request, so that many small texts are paced like one large text. `most` is the work
 * between two pauses.
 */
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
