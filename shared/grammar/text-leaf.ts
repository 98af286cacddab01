/**
 * Free text and the texts that end it: an automaton that looks for all of them at once (Aho and
 * Corasick, 1975).
 */
import { GrammarError } from './grammar-error.ts';
import { type Leaf, TableLeaf } from './leaf.ts';

const MOST_STATES = 8_000;

/** JSON's white space. */
const SPACES = ' \t\n\r';

/**
 * Any text, also none, in which none of `words` occurs.
 *
 * @param notFirst an ASCII character with which it must not begin, nor after white space
 */
export function textWithout(words: readonly string[], { notFirst = null }: { notFirst?: string | null } = {}): Leaf {
  const { next, found, columnOf, columns } = search(words, { apart: notFirst === null ? '' : notFirst + SPACES });
  const table = Int32Array.from(next.flat(), (to) => (found[to]!.size > 0 ? -1 : to));
  const accepting = Uint8Array.from(found, (here) => (here.size > 0 ? 0 : 1));
  const id = `text without ${JSON.stringify(words)}`;
  if (notFirst === null) return new TableLeaf(id, { columnOf, table, accepting });
  return new TableLeaf(`${id}, not first ${JSON.stringify(notFirst)}`, {
    columnOf,
    table: afterSpaces(table, { notFirst, columnOf, columns }),
    accepting: Uint8Array.from([...accepting, ...accepting]),
  });
}

/**
 * A table with all states twice: before anything but white space has come, and after it. In those
 * before, `notFirst` may not come.
 */
function afterSpaces(
  table: Int32Array,
  { notFirst, columnOf, columns }: { notFirst: string; columnOf: Uint8Array; columns: number },
): Int32Array {
  const states = table.length / columns;
  const columnsOf = (text: string) => new Set([...text].map((char) => columnOf[char.charCodeAt(0)]!));
  const refused = columnsOf(notFirst);
  const spaces = columnsOf(SPACES);
  const first = table.map((to, place) => {
    const column = place % columns;
    if (to < 0 || refused.has(column)) return -1;
    return spaces.has(column) ? to : to + states;
  });
  const later = table.map((to) => (to < 0 ? -1 : to + states));
  return Int32Array.from([...first, ...later]);
}

/** Any text up to the first place where `word` ends. `notFirst` is as in `textWithout`. */
export function textUpTo(word: string, { notFirst }: { notFirst: string }): Leaf {
  const { next, found, columnOf, columns } = search([word], { apart: notFirst + SPACES });
  const accepting = Uint8Array.from(found, (here) => (here.size > 0 ? 1 : 0));
  const table = Int32Array.from(next.flatMap((row, from) => (accepting[from] === 1 ? row.map(() => -1) : row)));
  return new TableLeaf(`text until ${JSON.stringify([word])}, not first ${JSON.stringify(notFirst)}`, {
    columnOf,
    table: afterSpaces(table, { notFirst, columnOf, columns }),
    accepting: Uint8Array.from([...accepting, ...accepting]),
  });
}

/**
 * Any text up to the first place where one of `words` ends. It has an exit for each set of words
 * that may end there together: a word, and those that it ends with. A word in which another one
 * ends earlier is in none.
 */
export function textUntil(words: readonly string[]): { leaf: Leaf; exits: readonly (readonly number[])[] } {
  const { next, found, columnOf } = search(words);
  const isEnd = found.map((here) => here.size > 0);
  const table = Int32Array.from(next.flatMap((row, from) => (isEnd[from] ? row.map(() => -1) : row)));
  const reached = new Set([0]);
  const exitOf = new Map<string, number>();
  const exits: number[][] = [];
  const exitAt = new Uint16Array(found.length);
  for (const state of reached) {
    if (!isEnd[state]) for (const to of next[state]!) reached.add(to);
    else {
      const ended = [...found[state]!].sort((a, b) => a - b);
      const key = ended.join();
      if (!exitOf.has(key)) exitOf.set(key, exits.push(ended) - 1);
      exitAt[state] = exitOf.get(key)!;
    }
  }
  const leaf = new TableLeaf(`text until ${JSON.stringify(words)}`, {
    ...{ columnOf, table, exits: exitAt },
    accepting: Uint8Array.from(isEnd, Number),
  });
  return { leaf, exits };
}

/**
 * For each state and column the next state, and which words end there.
 *
 * @param apart ASCII characters that have columns of their own
 */
function search(words: readonly string[], { apart = '' }: { apart?: string } = {}) {
  const bytesOf = words.map((word) => new TextEncoder().encode(word));
  const known = [...new Set([...bytesOf, new TextEncoder().encode(apart)].flatMap((bytes) => [...bytes]))];
  const columnOf = new Uint8Array(256);
  for (const [i, byte] of known.entries()) columnOf[byte] = i + 1;
  const columns = known.length + 1;
  const children: Map<number, number>[] = [new Map()];
  const found: Set<number>[] = [new Set()];
  for (const [word, bytes] of bytesOf.entries()) {
    let at = 0;
    for (const byte of bytes) {
      const column = columnOf[byte]!;
      let to = children[at]!.get(column);
      if (to === undefined) {
        to = children.push(new Map()) - 1;
        if (to > MOST_STATES) throw new GrammarError('has too much text to look for');
        found.push(new Set());
        children[at]!.set(column, to);
      }
      at = to;
    }
    found[at]!.add(word);
  }
  const next: number[][] = Array.from(children, () => Array<number>(columns).fill(0));
  const fallback = Array<number>(children.length).fill(0);
  // Breadth first, so that shorter texts are done before longer ones fall back on them.
  const order = [0];
  for (const state of order) {
    for (let column = 0; column < columns; column++) {
      const child = children[state]!.get(column);
      const fallen = state === 0 ? 0 : next[fallback[state]!]![column]!;
      next[state]![column] = child ?? fallen;
      if (child === undefined) continue;
      fallback[child] = fallen;
      for (const word of found[fallen]!) found[child]!.add(word);
      order.push(child);
    }
  }
  return { next, found, columnOf, columns };
}
