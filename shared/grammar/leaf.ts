/**
 * A regular language over bytes, as a deterministic automaton: what a grammar is made of below its
 * rules. From every state that `step` returns, some text still leads to one that accepts. So a
 * token that an automaton survives never leads into a dead end.
 */
export interface Leaf {
  /** Leaves with one id have the same states, and stand for the same language. */
  readonly id: string;
  readonly start: number;
  /** The state after this byte; -1 if the byte may not come. */
  step(state: number, byte: number): number;
  accepts(state: number): boolean;
  /** By which of its exits an accepting state leaves it, from 0. Most leaves have one. */
  exit(state: number): number;
  /** Whether any byte may come. */
  goesOn(state: number): boolean;
  /**
   * Of states with the same key, also of other leaves, tokens of at most `reach` bytes see no
   * difference: the same ones stay inside, and they leave it at the same places.
   */
  maskKey(state: number, reach: number): string;
}

/** Exactly these bytes: the state is how many of them have come. */
export class LiteralLeaf implements Leaf {
  readonly id: string;
  readonly start = 0;
  readonly #bytes: Uint8Array;

  constructor(text: string) {
    this.id = `literal ${text}`;
    this.#bytes = new TextEncoder().encode(text);
  }

  /** The bytes that are still to come. */
  rest(state: number): Uint8Array {
    return this.#bytes.subarray(state);
  }

  step(state: number, byte: number): number {
    return this.#bytes[state] === byte ? state + 1 : -1;
  }

  accepts(state: number): boolean {
    return state === this.#bytes.length;
  }

  exit(): number {
    return 0;
  }

  goesOn(state: number): boolean {
    return state < this.#bytes.length;
  }

  maskKey(state: number): string {
    return `${state} ${this.id}`;
  }
}

/** An automaton as a table. Bytes that no state tells apart share a column. */
export class TableLeaf implements Leaf {
  readonly start = 0;
  readonly id: string;
  readonly #columnOf: Uint8Array;
  readonly #columns: number;
  readonly #table: Int32Array;
  readonly #accepting: Uint8Array;
  readonly #exits: Uint16Array | null;
  readonly #goesOn: Uint8Array;

  /**
   * @param table [states, columns]: the next state, or -1
   * @param columnOf the column of each byte
   * @param exits by state, of those that accept
   */
  constructor(
    id: string,
    {
      columnOf,
      table,
      accepting,
      exits = null,
    }: { columnOf: Uint8Array; table: Int32Array; accepting: Uint8Array; exits?: Uint16Array | null },
  ) {
    this.id = id;
    this.#columnOf = columnOf;
    this.#columns = table.length / accepting.length;
    this.#table = table;
    this.#accepting = accepting;
    this.#exits = exits;
    this.#goesOn = accepting.map((_, state) => {
      const row = table.subarray(state * this.#columns, (state + 1) * this.#columns);
      return row.some((next) => next >= 0) ? 1 : 0;
    });
  }

  step(state: number, byte: number): number {
    return this.#table[state * this.#columns + this.#columnOf[byte]!]!;
  }

  accepts(state: number): boolean {
    return this.#accepting[state] === 1;
  }

  exit(state: number): number {
    return this.#exits === null ? 0 : this.#exits[state]!;
  }

  goesOn(state: number): boolean {
    return this.#goesOn[state] === 1;
  }

  maskKey(state: number): string {
    return `${state} ${this.id}`;
  }
}
