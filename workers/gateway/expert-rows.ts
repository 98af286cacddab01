/**
 * The rows of one expert for one answer, from whichever backend of its pool has it. If one breaks
 * off, another one reads the prompt and what the answer has so far, and goes on. The edge has drawn
 * every token itself, so nothing is lost with a backend.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import type { ExpertRow, ExpertStart } from '#shared/protocol/expert-messages.ts';
import type { Mixed } from '#shared/protocol/receipt.ts';
import type { ExpertSession } from './expert-socket.ts';
import { mayAskAgain } from './resume-elsewhere.ts';

/** So many backends in a row may break without a token. Then the request is what breaks them. */
const MOST_FRUITLESS = 4;

/**
 * Finds a backend that goes on after these ids. Rejects if there is none. A backend that would go
 * on with another answer (with other weights, or under another key) is none.
 *
 * @param before how the first one began, and how the last one broke off; null if the answer begins
 * @param signal aborted when nobody wants the rows any more
 */
export type OpenExpert = (
  ids: readonly number[],
  before: { start: ExpertStart; broken: PlimsollError; url: string } | null,
  signal: AbortSignal,
) => Promise<ExpertSession>;

type Part = Mixed['safety'][number];
type Opening = { open: OpenExpert; ids: readonly number[]; over: AbortController };

export class ExpertRows {
  /** What the first backend said. Every later one has to say the same. */
  readonly start: ExpertStart;
  readonly #open: OpenExpert;
  readonly #ids: readonly number[];
  readonly #parts: Part[] = [];
  readonly #over: AbortController;
  #session: ExpertSession;
  #fruitless = 0;

  private constructor(session: ExpertSession, { open, ids, over }: Opening) {
    this.start = session.start;
    this.#open = open;
    this.#ids = ids;
    this.#over = over;
    this.#session = session;
  }

  /**
   * @param ids the answer's tokens. Whoever draws appends to them, and then calls `take`.
   * @param over ends the wait for a backend. The rows own it from then on.
   */
  static async open(open: OpenExpert, ids: readonly number[], over = new AbortController()): Promise<ExpertRows> {
    return new ExpertRows(await open(ids, null, over.signal), { open, ids, over });
  }

  /** What a second look at the prompt has found; null if there was none. */
  async look(): Promise<LookReport | null> {
    await this.#trying((session) => session.firstWord(this.#ids.length));
    return this.#session.look();
  }

  /** The row after the answer's tokens. Rejects if nobody is left to give one. */
  async row(): Promise<ExpertRow> {
    const row = await this.#trying((session) => session.row(this.#ids.length));
    this.#fruitless = 0;
    return row;
  }

  /** The token after the answer's was drawn from the last row. */
  drawn(): void {
    const { start, directive } = this.#session;
    const position = this.#ids.length;
    let part = this.#parts.at(-1);
    if (part?.directive !== directive) {
      part = { backend: start.backend, directive, from: position, to: position };
      this.#parts.push(part);
    }
    part.to = position + 1;
  }

  /** The last of the ids was drawn from the last row. */
  take(): void {
    const id = this.#ids.at(-1);
    if (id !== undefined) this.#session.take(this.#ids.length - 1, id);
  }

  close(): void {
    this.#over.abort(new PlimsollError('backend_unavailable', 'The answer is over.'));
    this.#session.close();
  }

  /** The id of the last directive that was followed. */
  get directive(): string {
    return this.#session.directive;
  }

  /** What the directive asks: a backend without a probe is asked for no second look. */
  get asked(): ExpertSession['asked'] {
    return this.#session.asked;
  }

  /** Which backends gave rows that tokens were drawn from, and which tokens. */
  get parts(): Part[] {
    return this.#parts;
  }

  async #trying<T>(what: (session: ExpertSession) => Promise<T>): Promise<T> {
    const { signal } = this.#over;
    for (;;) {
      try {
        return await what(this.#session);
      } catch (thrown) {
        this.#session.close();
        // Whoever has closed it waits for no other backend, and would close none.
        if (signal.aborted || !mayAskAgain(thrown) || this.#fruitless++ >= MOST_FRUITLESS) throw thrown;
        const before = { start: this.start, broken: thrown, url: this.#session.member.url };
        this.#session = await this.#open(this.#ids, before, signal);
        // It was closed while the other one was being opened.
        if (signal.aborted) this.#session.close();
      }
    }
  }
}
