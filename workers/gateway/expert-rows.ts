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
 * Finds a backend that goes on after these ids. Rejects if there is none.
 *
 * @param before how the last one began, and how it broke off; null if the answer begins
 */
export type OpenExpert = (
  ids: readonly number[],
  before: { start: ExpertStart; broken: PlimsollError; url: string } | null,
) => Promise<ExpertSession>;

type Part = Mixed['safety'][number];

export class ExpertRows {
  /** What the first backend said. Every later one has to say the same. */
  readonly start: ExpertStart;
  readonly #open: OpenExpert;
  readonly #ids: readonly number[];
  readonly #parts: Part[] = [];
  #session: ExpertSession;
  #closed = false;
  #fruitless = 0;

  private constructor(session: ExpertSession, { open, ids }: { open: OpenExpert; ids: readonly number[] }) {
    this.start = session.start;
    this.#open = open;
    this.#ids = ids;
    this.#session = session;
    this.#note();
  }

  /** @param ids the answer's tokens. Whoever draws appends to them, and then calls `take`. */
  static async open(open: OpenExpert, ids: readonly number[]): Promise<ExpertRows> {
    return new ExpertRows(await open(ids, null), { open, ids });
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
    this.#parts.at(-1)!.to = this.#ids.length + 1;
    return row;
  }

  /** The last of the ids was drawn from the last row. */
  take(): void {
    const id = this.#ids.at(-1);
    if (id !== undefined) this.#session.take(this.#ids.length - 1, id);
  }

  close(): void {
    this.#closed = true;
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

  /** Which backends gave rows, for which tokens. One that gave none is left out. */
  get parts(): Part[] {
    return this.#parts.filter(({ from, to }) => to > from);
  }

  async #trying<T>(what: (session: ExpertSession) => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await what(this.#session);
      } catch (thrown) {
        this.#session.close();
        // Whoever has closed it waits for no other backend, and would close none.
        if (this.#closed || !mayAskAgain(thrown) || this.#fruitless++ >= MOST_FRUITLESS) throw thrown;
        const { start, member } = this.#session;
        this.#session = await this.#open(this.#ids, { start, broken: thrown, url: member.url });
        // It was closed while the other one was being opened.
        if (this.#closed) this.#session.close();
        this.#refuseOther(this.#session.start);
        this.#note();
      }
    }
  }

  #note(): void {
    const { start, directive } = this.#session;
    this.#parts.push({ backend: start.backend, directive, from: this.#ids.length, to: this.#ids.length });
  }

  /** With other weights or another key, the rest of the answer would be another one's. */
  #refuseOther(start: ExpertStart): void {
    const fields = ['bundle', 'draws', 'prompt_tokens', 'key'] as const;
    const other = fields.find((field) => String(start[field]) !== String(this.start[field]));
    if (other === undefined) return;
    this.#session.close();
    throw new PlimsollError('backend_unavailable', `The backend that was to go on has another ${other}.`);
  }
}
