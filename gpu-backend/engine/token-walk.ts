/** Walks over a tree of tokens along an automaton, which collect the tokens that survive. */
import { type Automaton, ambiguous, type State, type Thread } from '#shared/grammar/automaton.ts';
import { LiteralLeaf } from '#shared/grammar/leaf.ts';
import type { TokenTrie } from './token-trie.ts';

export type Walk = {
  /** The tokens found so far; see `TokenMask.allowed`. */
  bits: Uint32Array;
  automaton: Automaton;
  /** The walk throws once the automaton has done more work than this. */
  until: number;
};

/** Adds the tokens of a tree whose bytes behind `root` can follow a state. */
export function addTokens(trie: TokenTrie, { root = 0, state }: { root?: number; state: State }, walk: Walk): void {
  const { byte, depth, end } = trie;
  const { automaton, until } = walk;
  const first = depth[root]!;
  const before: State[] = [state];
  for (let node = root + 1; node < end[root]!; ) {
    const length = depth[node]! - first;
    const next = automaton.step(before[length - 1]!, byte[node]!);
    if (automaton.work > until) throw ambiguous();
    if (next === null) {
      node = end[node]!;
      continue;
    }
    before[length] = next;
    addOwn(trie, node, walk.bits);
    node++;
  }
}

/** A thread in a literal, and the bytes of it that are still to come. */
export type InLiteral = { thread: Thread; rest: Uint8Array };

/** null: the thread is in another leaf. */
export function inLiteral(thread: Thread): InLiteral | null {
  return thread.leaf instanceof LiteralLeaf ? { thread, rest: thread.leaf.rest(thread.at) } : null;
}

/**
 * Adds the tokens that literals allow, and what comes after them. All literals go down the tree
 * together: an `enum` of a thousand values costs little more than one value.
 */
export function addLiterals(trie: TokenTrie, literals: readonly InLiteral[], walk: Walk): void {
  descend(trie, { node: 0, length: 0, literals }, walk);
}

function descend(
  trie: TokenTrie,
  { node, length, literals }: { node: number; length: number; literals: readonly InLiteral[] },
  walk: Walk,
): void {
  const { automaton, until, bits } = walk;
  automaton.work += 1 + (literals.length >> 3);
  if (automaton.work > until) throw ambiguous();
  const byNext = new Map<number, InLiteral[]>();
  for (const literal of literals) {
    const next = literal.rest[length]!;
    const others = byNext.get(next);
    if (others === undefined) byNext.set(next, [literal]);
    else others.push(literal);
  }
  for (const [next, those] of byNext) {
    const child = trie.child(node, next);
    if (child < 0) continue;
    addOwn(trie, child, bits);
    if (trie.end[child] === child + 1) continue;
    const onward = those.filter(({ rest }) => rest.length > length + 1);
    if (onward.length > 0) descend(trie, { node: child, length: length + 1, literals: onward }, walk);
    // Those that end alike go on alike.
    const after = new Set<State>();
    for (const { thread, rest } of those) if (rest.length === length + 1) after.add(automaton.after(thread, 0));
    for (const state of after) addTokens(trie, { root: child, state }, walk);
  }
}

/** Adds the tokens that end at a node. */
function addOwn({ firstId, ids }: TokenTrie, node: number, bits: Uint32Array): void {
  for (let place = firstId[node]!; place < firstId[node + 1]!; place++) {
    const id = ids[place]!;
    bits[id >> 5]! |= 1 << (id & 31);
  }
}
