/**
 * The table of handles, the same in every driver. It knows which sequences are open, what data the
 * driver keeps for each (`T`: a cache slot, a list of tokens), and which steps are mistakes.
 */
import type { Span } from '../model/looked-messages.ts';
import type { Abilities, Prefix, SequenceId, Source, Step } from './experts.ts';
import { SpanSums } from './span-sums.ts';

/** A caller's mistake in one step. It harms neither that step's sequence nor any other. */
export class SequenceError extends Error {
  override readonly name = 'SequenceError';
}

export type Sequence<T> = {
  source: Source;
  /** The number of tokens that were fed and kept. */
  length: number;
  /** Steps requested and not yet settled. */
  underWay: number;
  /** What is summed over its spans; null if it has none. */
  sums: SpanSums | null;
  own: T;
};

/** A step that can run, with its sequence and the ids to feed. */
export type ReadyStep<T> = { step: Step; sequence: Sequence<T>; ids: readonly number[] };

export class Sequences<T> {
  readonly #open = new Map<SequenceId, Sequence<T>>();
  readonly #vocabSize: number;
  readonly #abilities: Abilities;
  #nextId = 1;
  #disposed = false;

  constructor({ vocabSize, abilities }: { vocabSize: number; abilities: Abilities }) {
    this.#vocabSize = vocabSize;
    this.#abilities = abilities;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Throws if the experts were disposed, or if they do not offer this source or its sums. */
  open(source: Source, own: T, { sums = [] }: { sums?: readonly Span[] } = {}): SequenceId {
    if (this.#disposed) throw new SequenceError('these experts were disposed');
    if (source === 'layers' && !this.#abilities.layers) {
      throw new SequenceError('a layers sequence needs experts with a layers router');
    }
    if (sums.length === 0) return this.#add({ source, length: 0, underWay: 0, sums: null, own });
    if (!this.#abilities.sums || source === 'layers') {
      throw new SequenceError(`these experts sum no hidden states of a sequence of ${source}`);
    }
    const isSpan = ({ from, to }: Span) =>
      Number.isSafeInteger(from) && Number.isSafeInteger(to) && 0 <= from && from < to;
    if (!sums.every(isSpan)) throw new SequenceError('a span to sum needs at least one token');
    return this.#add({ source, length: 0, underWay: 0, sums: new SpanSums(sums), own });
  }

  /** See `Experts.sums`. Throws as `atRest` does. */
  sums(id: SequenceId): (Float32Array | null)[] {
    return this.atRest(id).sums?.sums() ?? [];
  }

  /**
   * `copy` makes the new sequence's own data from the old one's. Throws as `get` does, and also if
   * the ability is missing or a step is under way.
   */
  fork(id: SequenceId, copy: (own: T) => T): SequenceId {
    if (!this.#abilities.fork) throw new SequenceError('these experts cannot fork a sequence');
    const { source, length, sums, own } = this.atRest(id);
    return this.#add({ source, length, underWay: 0, sums: sums?.copy() ?? null, own: copy(own) });
  }

  /**
   * `shorten` cuts the sequence's own data. Throws as `atRest` does, or if there is less to keep.
   */
  cut(id: SequenceId, length: number, shorten: (own: T) => void): void {
    const sequence = this.atRest(id);
    if (!(Number.isSafeInteger(length) && length >= 0 && length <= sequence.length)) {
      throw new SequenceError(`sequence ${id} has ${sequence.length} tokens and cannot be cut to ${length}`);
    }
    shorten(sequence.own);
    sequence.sums?.cut(length);
    sequence.length = length;
  }

  /**
   * `fill` gives an empty sequence's own data the beginning of the prefix, and returns its length.
   * Throws as `atRest` does, or if this cannot be.
   */
  recall(id: SequenceId, prefix: Prefix, fill: (sequence: Sequence<T>) => number): number {
    const sequence = this.#toPrefix(id, prefix);
    if (sequence.length > 0) throw new SequenceError(`sequence ${id} is not empty, so nothing can be recalled into it`);
    sequence.length = fill(sequence);
    return sequence.length;
  }

  /** Returns a sequence that holds the prefix. Throws as `atRest` does, or if there is none. */
  toKeep(id: SequenceId, prefix: Prefix): Sequence<T> {
    const sequence = this.#toPrefix(id, prefix);
    const { length } = prefix.ids;
    if (sequence.length >= length) return sequence;
    throw new SequenceError(`sequence ${id} has ${sequence.length} tokens, so no prefix of ${length} can be kept`);
  }

  #toPrefix(id: SequenceId, { bounds }: Prefix): Sequence<T> {
    if (!this.#abilities.prefixes) throw new SequenceError('these experts keep no prefixes');
    const sequence = this.atRest(id);
    if (sequence.source === 'layers' && !bounds) throw new SequenceError('a prefix of a layers sequence needs bounds');
    return sequence;
  }

  /** Throws if the handle is unknown or closed, or if one of its steps is under way. */
  atRest(id: SequenceId): Sequence<T> {
    const sequence = this.get(id);
    if (sequence.underWay > 0) throw new SequenceError(`a step of sequence ${id} is under way`);
    return sequence;
  }

  /** Notes that these steps were requested. Call the returned function when they have settled. */
  enter(steps: readonly Step[]): () => void {
    const entered = steps.flatMap(({ sequence }) => this.#open.get(sequence) ?? []);
    for (const sequence of entered) sequence.underWay++;
    return () => {
      for (const sequence of entered) sequence.underWay--;
    };
  }

  /** Throws if the handle is unknown or closed. */
  get(id: SequenceId): Sequence<T> {
    const sequence = this.#open.get(id);
    if (!sequence) throw new SequenceError(`there is no open sequence ${id}`);
    return sequence;
  }

  /** Whether this sequence is still open. It may have been closed while its step ran. */
  holds(id: SequenceId, sequence: Sequence<T>): boolean {
    return this.#open.get(id) === sequence;
  }

  /**
   * Returns the closed sequence's own data, so the driver can give it back; undefined if there was
   * no such sequence.
   */
  close(id: SequenceId): T | undefined {
    const own = this.#open.get(id)?.own;
    this.#open.delete(id);
    return own;
  }

  dispose(): void {
    this.#disposed = true;
    this.#open.clear();
  }

  /** Returns each step ready to run, or the mistake in it. */
  ready(steps: readonly Step[]): (ReadyStep<T> | SequenceError)[] {
    const seen = new Set<SequenceId>();
    return steps.map((step) => {
      try {
        if (seen.has(step.sequence)) throw new SequenceError(`sequence ${step.sequence} has two steps in one append`);
        seen.add(step.sequence);
        return this.#ready(step);
      } catch (thrown) {
        if (thrown instanceof SequenceError) return thrown;
        throw thrown;
      }
    });
  }

  #ready(step: Step): ReadyStep<T> {
    const { sequence: id, ids, bounds, want } = step;
    const sequence = this.get(id);
    const { length } = ids;
    const positions = want?.positions ?? 1;
    const isToken = (token: number) => Number.isSafeInteger(token) && token >= 0 && token < this.#vocabSize;
    if (length === 0) throw new SequenceError('a step needs at least one token');
    if (!ids.every(isToken)) throw new SequenceError(`a step holds a token outside 0..${this.#vocabSize - 1}`);
    if (sequence.source === 'layers' && !bounds) throw new SequenceError('a step of a layers sequence needs bounds');
    if (want?.hidden && !this.#abilities.hidden) throw new SequenceError('these experts give no hidden states');
    if (positions > 1 && !this.#abilities.score) throw new SequenceError('these experts give one row a step');
    if (!(Number.isSafeInteger(positions) && positions >= 0 && positions <= length)) {
      throw new SequenceError(`${length} tokens have no ${positions} positions`);
    }
    return { step, sequence, ids };
  }

  /** The sequence that is to be guessed on. Throws as `atRest` does, or if this cannot be. */
  toDraft(id: SequenceId, { ids, count }: { ids: readonly number[]; count: number }): Sequence<T> {
    const { draft } = this.#abilities;
    if (draft === 0) throw new SequenceError('these experts cannot guess how a sequence goes on');
    this.atRest(id);
    const { sequence } = this.#ready({ sequence: id, ids });
    if (Number.isSafeInteger(count) && count >= 1 && count <= draft) return sequence;
    throw new SequenceError(`these experts guess 1 to ${draft} tokens, not ${count}`);
  }

  #add(sequence: Sequence<T>): SequenceId {
    const id = this.#nextId++;
    this.#open.set(id, sequence);
    return id;
  }
}
