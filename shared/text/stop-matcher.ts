/**
 * Finds stop strings in a text that arrives in pieces. It holds back whatever could still become a
 * stop string, so that no part of one is ever sent. The rest goes out at once.
 *
 *     const stops = new StopMatcher(['###']);
 *     stops.push('a #'); // { text: 'a ', stopped: false }
 *     stops.push('b');   // { text: '#b', stopped: false }
 *     const later = new StopMatcher(['###'], stops.state()); // carries on from here
 *
 * If several stop strings overlap, the one that is complete first counts; among those that end at
 * the same character, the longest. So the result is the same wherever the pieces are cut.
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
   *
   * @param mayStop false if the answer may not end with this piece. A stop string that is complete
   *   by then is text like any other. One that begins here may still be completed by later pieces.
   */
  push(text: string, { mayStop = true }: { mayStop?: boolean } = {}): { text: string; stopped: boolean } {
    const pending = this.#held + text;
    const found = mayStop ? this.#firstComplete(pending) : null;
    if (found !== null) {
      this.#held = '';
      return { text: pending.slice(0, found), stopped: true };
    }
    const cut = pending.length - Math.max(0, ...this.#stops.map((stop) => overlap(pending, stop)));
    this.#held = pending.slice(cut);
    return { text: pending.slice(0, cut), stopped: false };
  }

  /** Where the first complete stop string begins in a text that starts with what is held back. */
  #firstComplete(pending: string): number | null {
    let first: { start: number; end: number } | null = null;
    for (const stop of this.#stops) {
      // It must end in the new text. Text that is held back can contain a whole stop string only if
      // it arrived when the answer could not end.
      const start = pending.indexOf(stop, Math.max(0, this.#held.length - stop.length + 1));
      const end = start + stop.length;
      if (start === -1) continue;
      if (first === null || end < first.end || (end === first.end && start < first.start)) first = { start, end };
    }
    return first?.start ?? null;
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
