/**
 * Finds stop strings in a text that arrives in pieces. It holds back whatever could still become a
 * stop string, so that no part of one is ever sent. The rest goes out at once.
 *
 *     const stops = new StopMatcher(['###']);
 *     stops.push('a #'); // { text: 'a ', stopped: false }
 *     stops.push('b');   // { text: '#b', stopped: false }
 *     const later = new StopMatcher(['###'], stops.state()); // carries on from here
 */

/** The text that is held back. Plain data that survives JSON. */
export type StopState = { held: string };

export class StopMatcher {
  readonly #stops: readonly string[];
  #held: string;

  constructor(stops: readonly string[], { held }: StopState = { held: '' }) {
    this.#stops = stops;
    this.#held = held;
  }

  /**
   * Returns the text that now certainly belongs to the answer. After `stopped`, the answer is over.
   */
  push(text: string): { text: string; stopped: boolean } {
    const pending = this.#held + text;
    const found = this.#stops.map((stop) => pending.indexOf(stop)).filter((index) => index !== -1);
    if (found.length > 0) {
      this.#held = '';
      return { text: pending.slice(0, Math.min(...found)), stopped: true };
    }
    const cut = pending.length - Math.max(0, ...this.#stops.map((stop) => overlap(pending, stop)));
    this.#held = pending.slice(cut);
    return { text: pending.slice(0, cut), stopped: false };
  }

  /** What a new matcher with the same stop strings needs to carry on from here. */
  state(): StopState {
    return { held: this.#held };
  }

  /** Returns the text that is still held back when the answer ends without a stop string. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** The length of the longest proper prefix of `stop` that `text` ends with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
