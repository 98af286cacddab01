/**
 * When the tokens of streams that run at once came. Prompts are read beside answers, so streams do
 * not begin together: each goes on until all have had enough tokens with all of them under way.
 */
export class TimedStreams {
  /** Milliseconds of one clock, by stream. */
  readonly times: number[][];
  readonly #tokens: number;
  readonly #stop = new AbortController();
  /** How many tokens each has had since all are under way; null until they are. */
  #since: number[] | null = null;

  constructor(count: number, { tokens }: { tokens: number }) {
    this.times = Array.from({ length: count }, () => []);
    this.#tokens = tokens;
  }

  /** Aborted once every stream has had enough. */
  get enough(): AbortSignal {
    return this.#stop.signal;
  }

  /** Call this when stream `i` gets a token. */
  token(i: number): void {
    this.times[i]!.push(performance.now());
    if (this.#since !== null) {
      this.#since[i]!++;
      if (this.#since.every((had) => had >= this.#tokens)) this.#stop.abort();
    } else if (this.times.every((stream) => stream.length > 0)) {
      this.#since = this.times.map(() => 0);
    }
  }

  /** Handles what a stream throws: nothing if it was stopped. */
  readonly ended = (thrown: unknown): void => {
    if (!this.#stop.signal.aborted) throw thrown;
  };
}
