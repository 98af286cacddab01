/**
 * What a leaf of a grammar alone says about the tokens of a vocabulary. Of most tokens it knows
 * enough: they stay inside of it, or cannot begin there. The few that leave it (in JSON, tokens
 * with the quote that closes a string) depend on what surrounds it.
 */
import type { Leaf } from '#shared/grammar/leaf.ts';
import { TokenTrie } from './token-trie.ts';

export type LeafMask = {
  /** The tokens that stay inside: as ids if they are few, else as bits. */
  ids: Int32Array | null;
  bits: Uint32Array | null;
  /**
   * The tokens that leave it, where its language ends, by the exit they take. null: it ends at too
   * many places to keep them apart, as free text does, which may end anywhere.
   */
  leaving: readonly Leaving[] | null;
};

type Leaving = {
  exit: number;
  /** Nodes of the vocabulary's tree behind which many tokens go on. */
  nodes: readonly number[];
  /** What is left of all others. */
  rest: TokenTrie;
};

/** More tokens are kept as bits. */
const MOST_IDS = 512;
/** More tokens behind a node are looked at where they are. */
const MOST_MOVED = 64;
/** Nodes with more and with fewer tokens behind them. */
const MOST_LEAVING = { nodes: 64, moved: 1_024 };
/** About what a token that leaves a leaf, and a node of a tree of tokens take. */
/** States whose steps a walk remembers. */
const MOST_ROWS = 4_096;
const UNKNOWN = -2;
const ACCEPTS = 1;
const GOES_ON = 2;
const BYTES = { token: 4, node: 11, trie: 600 };

/**
 * The mask at one state of a leaf, and how many nodes of the tree that took.
 *
 * @param words of a mask's bits, for all tokens
 */
export function maskOfLeaf(
  trie: TokenTrie,
  { leaf, at, words }: { leaf: Leaf; at: number; words: number },
): { mask: LeafMask; visited: number } {
  const { byte, depth, end, firstId, ids } = trie;
  local.begin(leaf, at);
  let { rows } = local;
  const { flags } = local;
  // By depth: the number of the state before. That of the root is 0.
  const before = new Int32Array(trie.reach + 1);
  const inside: number[] = [];
  const leaves = new Map<number, { nodes: number[]; moved: number[] }>();
  let bits: Uint32Array | null = null;
  const leaving = { nodes: 0, moved: 0 };
  let tokens = 0;
  let visited = 0;
  for (let node = 1; node < byte.length; visited++) {
    const length = depth[node]!;
    const from = before[length - 1]!;
    let to = from < MOST_ROWS ? rows[from * 256 + byte[node]!]! : UNKNOWN;
    if (to === UNKNOWN) {
      to = local.step(from, byte[node]!);
      rows = local.rows;
    }
    if (to < 0) {
      node = end[node]!;
      continue;
    }
    for (let place = firstId[node]!; place < firstId[node + 1]!; place++) {
      const id = ids[place]!;
      if (bits !== null) bits[id >> 5]! |= 1 << (id & 31);
      else if (inside.push(id) > MOST_IDS) bits = bitsOf(inside, words);
    }
    if ((flags[to]! & ACCEPTS) !== 0 && end[node]! > node + 1) {
      const count = trie.countBelow(node);
      const exit = local.exit(to);
      const kind = count > MOST_MOVED ? 'nodes' : 'moved';
      let here = leaves.get(exit);
      if (here === undefined) {
        here = { nodes: [], moved: [] };
        leaves.set(exit, here);
      }
      if (++leaving[kind] <= MOST_LEAVING[kind]) here[kind].push(node);
      if (kind === 'moved') tokens += count;
    }
    before[length] = to;
    node = (flags[to]! & GOES_ON) !== 0 ? node + 1 : end[node]!;
  }
  const isMuch = leaving.nodes > MOST_LEAVING.nodes || leaving.moved > MOST_LEAVING.moved;
  const mask: LeafMask = {
    ids: bits === null ? Int32Array.from(inside) : null,
    bits,
    leaving: isMuch
      ? null
      : [...leaves].map(([exit, { nodes, moved }]) => ({
          ...{ exit, nodes },
          rest: new TokenTrie(moved.flatMap((node) => trie.rest(node))),
        })),
  };
  return { mask, visited: visited + (isMuch ? 0 : 5 * tokens) };
}

/**
 * The states of a leaf that a walk has met, numbered from 0, with their steps in a table: a walk
 * takes each step many times. Flat, and kept for the next walk.
 */
class LocalStates {
  #rows = new Int32Array(256 * 64);
  #states: number[] = [];
  #numbers = new Map<number, number>();
  /** By state: whether it accepts, and whether it goes on. */
  flags: number[] = [];
  #leaf!: Leaf;

  get rows(): Int32Array {
    return this.#rows;
  }

  /** Forgets all, and begins with this state as number 0. */
  begin(leaf: Leaf, at: number): void {
    this.#leaf = leaf;
    this.#states = [];
    this.flags = [];
    this.#numbers = new Map();
    this.#number(at);
  }

  /** The step from a state, -1 if there is none. Remembers it, unless there are too many. */
  step(from: number, byte: number): number {
    const state = this.#leaf.step(this.#states[from]!, byte);
    const to = state < 0 ? -1 : this.#number(state);
    if (from < MOST_ROWS) this.#rows[from * 256 + byte] = to;
    return to;
  }

  #number(state: number): number {
    const known = this.#numbers.get(state);
    if (known !== undefined) return known;
    const number = this.#states.push(state) - 1;
    this.#numbers.set(state, number);
    this.flags.push((this.#leaf.accepts(state) ? ACCEPTS : 0) | (this.#leaf.goesOn(state) ? GOES_ON : 0));
    if (number >= MOST_ROWS) return number;
    if ((number + 1) * 256 > this.#rows.length) {
      const rows = new Int32Array(2 * this.#rows.length);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#rows.fill(UNKNOWN, number * 256, (number + 1) * 256);
    return number;
  }

  exit(number: number): number {
    return this.#leaf.exit(this.#states[number]!);
  }
}

const local = new LocalStates();

/** About how many bytes it takes. */
export function leafMaskBytes({ ids, bits, leaving }: LeafMask, key: string): number {
  const tries = (leaving ?? []).reduce(
    (sum, { nodes, rest }) =>
      sum + BYTES.trie + BYTES.token * (nodes.length + rest.ids.length) + BYTES.node * rest.byte.length,
    0,
  );
  return 200 + 2 * key.length + (ids?.byteLength ?? 0) + (bits?.byteLength ?? 0) + tries;
}

function bitsOf(ids: readonly number[], words: number): Uint32Array {
  const bits = new Uint32Array(words);
  for (const id of ids) bits[id >> 5]! |= 1 << (id & 31);
  return bits;
}
