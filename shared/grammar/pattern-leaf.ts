/**
 * Makes an automaton over bytes of a pattern over characters: Thompson's construction, then the
 * subset construction, both with a bound on their size. What can no longer lead to an end is cut
 * off.
 */
import { ANY_CHAR, jsonOf, utf8Of } from './char-set.ts';
import { GrammarError } from './grammar-error.ts';
import { type Leaf, TableLeaf } from './leaf.ts';
import { chars, choice, literal, type Pattern, repeat } from './pattern.ts';
import type { Work } from './work.ts';

const MOST_NFA_STATES = 20_000;
const MOST_DFA_STATES = 4_000;
/** So many comparisons, of an edge with a byte or of a cell of a table, make a unit of work. */
const IN_UNIT = 10;

type NfaEdge = { from: number; to: number; least: number; most: number };

/** Without bytes, an edge is a step that reads nothing. */
class Nfa {
  readonly edges: NfaEdge[][] = [];
  readonly silent: number[][] = [];
  readonly #work: Work;

  constructor(work: Work) {
    this.#work = work;
  }

  state(): number {
    if (this.edges.length >= MOST_NFA_STATES) throw new GrammarError('has too many states');
    this.silent.push([]);
    return this.edges.push([]) - 1;
  }

  /** Reads `pattern` from this state on. Returns the state after it. */
  add(pattern: Pattern, from: number, write: typeof utf8Of): number {
    // Also what reads nothing takes time to repeat.
    this.#work.spend(1);
    switch (pattern.kind) {
      case 'chars': {
        const end = this.state();
        const ways = write(pattern.set);
        this.#work.spend(10 * ways.length);
        for (const way of ways) this.#addWay(way, from, end);
        return end;
      }
      case 'sequence':
        return pattern.parts.reduce((at, part) => this.add(part, at, write), from);
      case 'choice': {
        const end = this.state();
        for (const option of pattern.options) {
          const start = this.state();
          this.silent[from]!.push(start);
          this.silent[this.add(option, start, write)]!.push(end);
        }
        return end;
      }
      case 'repeat':
        return this.#addRepeat(pattern, from, write);
      default:
        return pattern satisfies never;
    }
  }

  #addWay(way: readonly (readonly [number, number])[], from: number, end: number): void {
    let at = from;
    for (const [i, [least, most]] of way.entries()) {
      const to = i === way.length - 1 ? end : this.state();
      this.edges[at]!.push({ from: at, to, least, most });
      at = to;
    }
  }

  #addRepeat({ part, min, max }: Extract<Pattern, { kind: 'repeat' }>, from: number, write: typeof utf8Of): number {
    let at = from;
    for (let i = 0; i < min; i++) at = this.add(part, at, write);
    const end = this.state();
    if (max === null) {
      const loop = this.state();
      this.silent[at]!.push(loop);
      this.silent[this.add(part, loop, write)]!.push(loop);
      this.silent[loop]!.push(end);
      return end;
    }
    this.silent[at]!.push(end);
    for (let i = min; i < max; i++) {
      at = this.add(part, at, write);
      this.silent[at]!.push(end);
    }
    return end;
  }
}

/** Of an automaton, as `TableLeaf` takes it. */
export type Table = { columnOf: Uint8Array; table: Int32Array; accepting: Uint8Array };

/** What matches all of these patterns and tables, in UTF-8. null: no text does. */
export function plainLeaf(
  id: string,
  { patterns, tables = [], work }: { patterns: readonly Pattern[]; tables?: readonly Table[]; work: Work },
): Leaf | null {
  const made = patterns.map((pattern) => tableOf((nfa, from) => nfa.add(pattern, from, utf8Of), work));
  return leafOf(id, [...made, ...tables], work);
}

const ANY_TEXT = repeat(chars(ANY_CHAR), 0, null);
const QUOTE: Pattern = { kind: 'chars', set: [[0x22, 0x22]] };

/** A pattern that a string must match, or must not. */
export type StringPattern = { readonly pattern: Pattern; readonly negated?: boolean };

/** Texts that match these patterns and tables, as JSON strings with their quotes. */
export function stringPatternLeaf(
  id: string,
  { patterns, tables = [], work }: { patterns: readonly StringPattern[]; tables?: readonly Table[]; work: Work },
): Leaf | null {
  const stringTable = (pattern: Pattern) =>
    tableOf((nfa, from) => nfa.add(QUOTE, nfa.add(pattern, nfa.add(QUOTE, from, utf8Of), jsonOf), utf8Of), work);
  const made = patterns.map(({ pattern, negated = false }) => {
    const table = stringTable(pattern);
    return negated ? complement(table, work) : table;
  });
  // What does not match a pattern is still a string.
  const isOpen = patterns.every(({ negated = false }) => negated);
  return leafOf(id, [...(isOpen ? [stringTable(ANY_TEXT)] : []), ...made, ...tables], work);
}

/** Any bytes but these texts. */
export const allTextsBut = (texts: readonly string[], work: Work): Table =>
  complement(
    tableOf((nfa, from) => nfa.add(choice(...texts.map(literal)), from, utf8Of), work),
    work,
  );

/** The bytes that a table does not accept. */
function complement({ columnOf, table, accepting }: Table, work: Work): Table {
  work.spend(Math.ceil(table.length / IN_UNIT));
  const columns = table.length / accepting.length;
  const sink = accepting.length;
  const open = new Int32Array(table.length + columns).fill(sink);
  open.set(table.map((to) => (to < 0 ? sink : to)));
  return { columnOf, table: open, accepting: Uint8Array.from([...accepting, 0], (accepts) => 1 - accepts) };
}

function leafOf(id: string, tables: readonly Table[], work: Work): Leaf | null {
  const all = tables.reduce((a, b) => intersect(a, b, work));
  work.spend(Math.ceil(all.table.length / IN_UNIT));
  const trimmed = trim(all);
  return trimmed && new TableLeaf(id, trimmed);
}

function tableOf(build: (nfa: Nfa, from: number) => number, work: Work): Table {
  const nfa = new Nfa(work);
  const start = nfa.state();
  const end = build(nfa, start);
  const { columnOf, bytes } = columnsOf(nfa);
  const numbers = new Map<string, number>();
  const sets: number[][] = [];
  const rows: number[][] = [];
  const number = (set: number[]): number => {
    if (set.length === 0) return -1;
    const key = set.join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    if (sets.length >= MOST_DFA_STATES) throw new GrammarError('has too many states');
    numbers.set(key, sets.length);
    return sets.push(set) - 1;
  };
  number(closure(nfa, [start], work));
  for (let i = 0; i < sets.length; i++) {
    const edges = sets[i]!.flatMap((state) => nfa.edges[state]!);
    work.spend(bytes.length * (1 + Math.ceil(edges.length / IN_UNIT)));
    rows.push(
      bytes.map((byte) => {
        const reached = edges.filter(({ least, most }) => least <= byte && byte <= most).map(({ to }) => to);
        return reached.length === 0 ? -1 : number(closure(nfa, reached, work));
      }),
    );
  }
  return {
    columnOf,
    table: Int32Array.from(rows.flat()),
    accepting: Uint8Array.from(sets, (set) => (set.includes(end) ? 1 : 0)),
  };
}

function closure(nfa: Nfa, states: readonly number[], work: Work): number[] {
  const seen = new Set(states);
  for (const state of seen) {
    const nexts = nfa.silent[state]!;
    // The state is also sorted, and written into a key.
    work.spend(2 + nexts.length);
    for (const next of nexts) seen.add(next);
  }
  // Only states that read, and the ends, tell two sets apart.
  return [...seen]
    .filter((state) => nfa.edges[state]!.length > 0 || nfa.silent[state]!.length === 0)
    .sort((a, b) => a - b);
}

/** Bytes that no edge tells apart, and one byte of each column. */
function columnsOf(nfa: Nfa): { columnOf: Uint8Array; bytes: number[] } {
  const begins = new Uint8Array(257);
  begins[0] = 1;
  for (const edges of nfa.edges) {
    for (const { least, most } of edges) {
      begins[least] = 1;
      begins[most + 1] = 1;
    }
  }
  const columnOf = new Uint8Array(256);
  const bytes: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (begins[byte] === 1) bytes.push(byte);
    columnOf[byte] = bytes.length - 1;
  }
  return { columnOf, bytes };
}

function intersect(a: Table, b: Table, work: Work): Table {
  const pairs = new Map<number, number>();
  const order: [number, number][] = [];
  const width = b.accepting.length;
  const number = (one: number, other: number): number => {
    if (one < 0 || other < 0) return -1;
    const key = one * width + other;
    const known = pairs.get(key);
    if (known !== undefined) return known;
    if (order.length >= MOST_DFA_STATES) throw new GrammarError('has too many states');
    pairs.set(key, order.length);
    return order.push([one, other]) - 1;
  };
  const columnOf = new Uint8Array(256);
  const bytes: number[] = [];
  const columns = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++) {
    const key = `${a.columnOf[byte]}/${b.columnOf[byte]}`;
    if (!columns.has(key)) columns.set(key, bytes.push(byte) - 1);
    columnOf[byte] = columns.get(key)!;
  }
  const next = ({ table, accepting, columnOf: column }: Table, state: number, byte: number) =>
    table[state * (table.length / accepting.length) + column[byte]!]!;
  const rows: number[] = [];
  number(0, 0);
  for (let i = 0; i < order.length; i++) {
    const [one, other] = order[i]!;
    work.spend(bytes.length);
    for (const byte of bytes) rows.push(number(next(a, one, byte), next(b, other, byte)));
  }
  return {
    columnOf,
    table: Int32Array.from(rows),
    accepting: Uint8Array.from(order, ([one, other]) => a.accepting[one]! & b.accepting[other]!),
  };
}

/** Without the states from which no end can be reached; null if the start is one. */
function trim({ columnOf, table, accepting }: Table): Table | null {
  const columns = table.length / accepting.length;
  const before: number[][] = Array.from(accepting, () => []);
  for (let i = 0; i < table.length; i++) if (table[i]! >= 0) before[table[i]!]!.push(Math.floor(i / columns));
  const alive = new Set([...accepting.keys()].filter((state) => accepting[state] === 1));
  for (const state of alive) for (const earlier of before[state]!) alive.add(earlier);
  if (!alive.has(0)) return null;
  return { columnOf, table: table.map((next) => (alive.has(next) ? next : -1)), accepting };
}
