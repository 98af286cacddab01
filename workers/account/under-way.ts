/** Requests that are being answered, and how many answers they are for. */

import type { Charge } from './charges.ts';
import type { Entry } from './minute.ts';

/** `answers` is 1 if left out: after a crash nobody knows of more. */
export type Open = { charge: Charge; entry: Entry; answers?: number | undefined };

export class UnderWay extends Map<string, Open> {
  #answers = 0;

  /** How many answers are under way. */
  get answers(): number {
    return this.#answers;
  }

  override set(id: string, open: Open): this {
    this.delete(id);
    this.#answers += open.answers ?? 1;
    return super.set(id, open);
  }

  override delete(id: string): boolean {
    const open = this.get(id);
    if (open !== undefined) this.#answers -= open.answers ?? 1;
    return super.delete(id);
  }
}
