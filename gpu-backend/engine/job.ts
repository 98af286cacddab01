/**
 * An answer and the sequences it is made from. They are opened when it joins, fed piece by piece,
 * and given back when it ends or no longer needs them. What they have read is kept for later
 * requests of the same tenant.
 *
 * This is where we decide what happens when an expert fails. Without the expert that the answer
 * cannot do without (the safety expert, except where the line leaves it out), the answer ends.
 * Without the other one, it goes on with the gate closed.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Answer, Outputs } from './answer.ts';
import type { Feed } from './answer-feeds.ts';
import { drawDrafted } from './draw-drafted.ts';
import type { EngineEvent, PublicTokens, TakenToken } from './engine.ts';
import type { Experts, Output, Prefix, SequenceId, Source, Step } from './experts.ts';
import { Unread } from './unread.ts';

export type Warn = (message: string, cause: unknown) => void;

export type JobOptions = {
  experts: Experts;
  warn: Warn;
  tenant?: string;
  /** See `EngineRequest`. */
  publicTokens?: PublicTokens;
  followers?: readonly Job[];
};

export class Job {
  /** The request's. Its answers share it. */
  readonly id: number;
  readonly tenant: string;
  readonly answer: Answer;
  readonly #experts: Experts;
  readonly #warn: Warn;
  readonly #publicTokens: PublicTokens;
  /** In the order of the answer's sources. One that has failed is gone. */
  readonly #sequences = new Map<Source, SequenceId>();
  /**
   * Further answers to the same request. They wait until this one has read the prompt, and then
   * continue from there.
   */
  readonly #followers: Job[];
  /** When its client was last told how far it is, by the scheduler's clock. */
  toldAt = 0;
  #unread: Unread;
  #toRead = 0;
  #isAnswering = false;
  /** What the safety expert says after the prompt, while a layers row has yet to read it. */
  #held: Outputs = {};

  constructor(
    id: number,
    answer: Answer,
    { experts, warn, tenant = '', publicTokens = {}, followers = [] }: JobOptions,
  ) {
    this.id = id;
    this.tenant = tenant;
    this.#publicTokens = publicTokens;
    this.answer = answer;
    this.#experts = experts;
    this.#warn = warn;
    this.#followers = [...followers];
    this.#unread = new Unread(answer.history());
  }

  /** How many sequences its followers will open. */
  get rowsToCome(): number {
    return this.#followers.reduce((sum, follower) => sum + follower.rows, 0);
  }

  /** The most tokens that its rows and its followers' may have. */
  get mostTokens(): number[] {
    return [this, ...this.#followers].flatMap(({ answer }) => answer.mostTokens);
  }

  /** The most tokens that have to be fed for it and its followers, over all rows. */
  get cost(): number {
    const drawn = this.#followers.map(({ answer, rows }) => answer.mostDrawn * rows);
    return [...this.answer.mostTokens, ...drawn].reduce((sum, tokens) => sum + tokens, 0);
  }

  /** Open sequences, or those to open. */
  get rows(): number {
    return this.#sequences.size || this.answer.sources.length;
  }

  /** How many tokens its longest row must read before the next token can be drawn. */
  get unread(): number {
    return this.#unread.length;
  }

  /** How many tokens its longest row had to read when it joined. */
  get toRead(): number {
    return this.#toRead;
  }

  /** Opens all its sequences and recalls what is known, or throws and leaves none open. */
  open(): void {
    try {
      const { sources, lookSpans: sums } = this.answer;
      for (const source of sources) {
        const options = { tenant: this.tenant, ...(source === 'safety' && { sums }) };
        this.#sequences.set(source, this.#experts.open(source, options));
      }
      this.#recall(this.answer.looksFirst ? ['safety'] : sources);
      this.#toRead = this.unread;
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /**
   * Lets its followers continue from where it is. Afterwards they are jobs like any other. Throws,
   * and leaves them without sequences, if one cannot be opened.
   */
  fork(): Job[] {
    const followers = this.#followers.splice(0);
    try {
      for (const follower of followers) {
        follower.#unread = new Unread([]);
        follower.#held = this.#held;
        follower.answer.cachedTokens = this.answer.cachedTokens;
        follower.answer.lookLike(this.answer);
        for (const [source, sequence] of this.#sequences) {
          follower.#sequences.set(source, this.#experts.fork(sequence));
        }
      }
    } catch (thrown) {
      for (const follower of followers) follower.close();
      throw thrown;
    }
    return followers;
  }

  /** Gives its sequences back. After that, there is nothing left to draw from. */
  close(): void {
    this.#closeAllBut([]);
  }

  /**
   * What to feed next: at most `most` tokens per row of what is unread, or else the last token
   * drawn, with a draft if there is one.
   */
  next(most = Infinity, draft: readonly number[] = []): Feed {
    return this.unread > 0 ? this.#unread.take(most) : this.answer.next(draft);
  }

  /**
   * Lets the expert that weighs most guess how the answer goes on, and feeds nothing. A guess that
   * fails is none: the step that follows asks the same expert, and finds out whether it has failed.
   */
  async guess(count: number): Promise<readonly number[]> {
    const [only, other] = this.#sequences.keys();
    const source = other === undefined ? only : this.answer.leaning;
    const sequence = source && this.#sequences.get(source);
    const ids = source && this.answer.next().rows[source];
    if (sequence === undefined || ids === undefined) return [];
    return this.#experts.draft(sequence, { ids, count }).catch(() => []);
  }

  /** One step for each sequence that this feeds. */
  steps(feed: Feed): Step[] {
    const fed = this.#fed(feed);
    const { draft = [] } = feed;
    return fed.map(({ source, sequence, ids }): Step => {
      const other = fed.find((one) => one.source !== source);
      return {
        sequence,
        ids: [...ids, ...draft],
        reads: feed.reads,
        ...(source === 'layers' && { bounds: feed.bounds }),
        ...(other && { beside: other.sequence }),
        want: {
          hidden: this.answer.hidden && (other !== undefined || this.answer.tellsRows),
          positions: this.#positions(source, ids, feed),
        },
      };
    });
  }

  /** After how many of these tokens a prediction is wanted. */
  #positions(source: Source, ids: readonly number[], feed: Feed): number {
    if (this.#isScored(feed)) return ids.length;
    // With more of the prompt to read, nothing can be drawn.
    return this.#unread.of(source) > 0 ? 0 : 1 + (feed.draft?.length ?? 0);
  }

  /**
   * Looks at the prompt a second time, as soon as the safety expert's row has read it. Call it with
   * the settled steps of every feed, before `fork` and `goOn`. A layers row reads the prompt only
   * after that, so it does so under the tightened bounds.
   */
  look(feed: Feed, results: readonly PromiseSettledResult<Output>[]): void {
    const failed = results.find((result) => result.status === 'rejected');
    // A layers row that reads the prompt does so alone. Without it, all has been read.
    if (this.#held.safety && failed) this.#goOnWithout('layers', failed.reason);
    const sequence = this.#sequences.get('safety');
    if (!this.answer.looks || sequence === undefined || this.#unread.of('safety') > 0) return;
    const safety = results[this.#fed(feed).findIndex(({ source }) => source === 'safety')];
    // Without its expert, the answer ends.
    if (safety?.status !== 'fulfilled') return;
    const { looksFirst } = this.answer;
    this.answer.look(this.#experts.sums(sequence));
    if (!looksFirst) return;
    this.#held = { safety: safety.value };
    const reads = this.answer.sources.includes('layers') && !this.answer.refused;
    this.#unread = new Unread(reads ? this.answer.history() : []);
    this.#unread.forget('safety');
    if (reads) this.#recall(['layers']);
    else this.#closeAllBut(['safety']);
  }

  /**
   * Goes on from the settled steps of this feed: draws the next token and returns its events, or
   * returns none if there is more to read. It draws more tokens as far as they are those of the
   * feed's draft. Throws if the answer cannot go on. If a step with a draft fails, it draws
   * nothing: a step without the draft will show whether the answer can go on.
   */
  goOn(feed: Feed, results: readonly PromiseSettledResult<Output>[]): EngineEvent[] {
    const { draft = [] } = feed;
    const failed = draft.length > 0 && results.find((result) => result.status === 'rejected');
    if (failed) {
      this.#warn(`answer ${this.id} takes back a draft of ${draft.length} tokens`, failed.reason);
      this.#takeBack();
      return [];
    }
    const outputs = { ...this.#held, ...this.#outputs(feed, results) };
    const { echo } = this.answer;
    if (this.#isScored(feed)) echo!.read(Object.values(feed.rows)[0]!, outputs);
    if (this.unread > 0) {
      // Even if nobody waits for the rest, what has been read is there.
      this.#keep();
      return [];
    }
    this.#held = {};
    if (this.answer.refused) {
      this.#keep();
      return this.answer.refuse();
    }
    const events = drawDrafted(this.answer, outputs, draft);
    if (draft.length > 0) this.#takeBack();
    const someLeave = this.answer.sources.length < this.#sequences.size;
    if (!this.#isAnswering || this.answer.ended || someLeave) this.#keep({ drawn: 1 });
    this.#isAnswering = true;
    this.#closeAllBut(this.answer.sources);
    return feed.reads === 'prompt' && echo ? [echo.event(), ...events] : events;
  }

  /** What was drawn at a position of an answer that tells rows. No step may be under way. */
  take(taken: TakenToken): void {
    if (this.answer.take(taken)) this.#takeBack();
  }

  /** Whether the client wants to know what the experts thought of each of these tokens. */
  #isScored({ reads }: Feed): boolean {
    return reads === 'prompt' && this.answer.echo?.scores === true;
  }

  /** Makes each sequence forget what it has read beyond the answer. */
  #takeBack(): void {
    for (const [source, sequence] of this.#sequences) this.#experts.cut(sequence, this.answer.readLength(source));
  }

  /**
   * Lets sequences begin with what is known, so that less is left to read. Where the client wants
   * to know what the experts thought of the prompt, all of it must be read.
   */
  #recall(sources: readonly Source[]): void {
    if (!this.#experts.abilities.prefixes || this.answer.echo?.scores) return;
    const own: number[] = [];
    for (const [source, sequence] of this.#sequences) {
      if (!sources.includes(source)) {
        if (this.#unread.of(source) === 0) own.push(this.answer.cachedTokens);
        continue;
      }
      const length = this.#experts.recall(sequence, this.#prefix(source, 0));
      this.#unread.skip(source, length);
      own.push(this.answer.ownTokens(source, length));
    }
    this.answer.cachedTokens = Math.min(...own);
  }

  /** Keeps what its sequences have read. They have not read the tokens just drawn. */
  #keep({ drawn = 0 } = {}): void {
    if (!this.#experts.abilities.prefixes) return;
    for (const [source, sequence] of this.#sequences) {
      this.#experts.keep(sequence, this.#prefix(source, drawn + this.#unread.of(source)));
    }
  }

  #prefix(source: Source, missing: number): Prefix {
    const scope = { tenant: this.tenant, publicTokens: this.#publicTokens[source] ?? 0 };
    return { ...this.answer.prefix(source, { missing }), scope };
  }

  /** Sorts the outputs by source, and parts with an expert that failed. */
  #outputs(feed: Feed, results: readonly PromiseSettledResult<Output>[]): Outputs {
    const [needed] = this.answer.sources;
    const outputs: Partial<Record<Source, Output>> = {};
    for (const [i, { source }] of this.#fed(feed).entries()) {
      const result = results[i];
      if (result?.status === 'fulfilled') outputs[source] = result.value;
      else if (source === needed) {
        throw new PlimsollError('expert_failed', 'The model failed to run.', { cause: result?.reason });
      } else {
        this.#goOnWithout(source, result?.reason);
      }
    }
    return outputs;
  }

  #goOnWithout(source: Source, reason: unknown): void {
    this.#warn(`answer ${this.id} has lost its expert ${source}`, reason);
    this.#closeAllBut([...this.#sequences.keys()].filter((other) => other !== source));
    this.#unread.forget(source);
  }

  #fed({ rows }: Feed): { source: Source; sequence: SequenceId; ids: readonly number[] }[] {
    return [...this.#sequences].flatMap(([source, sequence]) => {
      const ids = rows[source] ?? [];
      return ids.length > 0 ? [{ source, sequence, ids }] : [];
    });
  }

  #closeAllBut(sources: readonly Source[]): void {
    for (const [source, sequence] of [...this.#sequences]) {
      if (sources.includes(source)) continue;
      this.#experts.close(sequence);
      this.#sequences.delete(source);
    }
  }
}
