/**
 * Which tokens may come next under a grammar. Of most tokens a thread's own leaf knows enough: they
 * stay inside of it, or cannot begin there. These are found once for each place in a leaf, whatever
 * surrounds it, and kept for all grammars. The few that leave the leaf (in JSON, tokens with the
 * quote that closes a string) are looked at in each state, from where the leaf ends. XGrammar calls
 * the two kinds context-independent and context-dependent (arXiv 2411.15100).
 */
import { LRUCache } from 'lru-cache';
import type { TokenMask } from '#shared/answer/token-mask.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton, ambiguous, type State, type Thread } from '#shared/grammar/automaton.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { MOST_WORK, Work } from '#shared/grammar/work.ts';
import { TokenTrie } from './token-trie.ts';

type LeafMask = {
  /** The tokens that stay inside: as ids if they are few, else as bits. */
  ids: Int32Array | null;
  bits: Uint32Array | null;
  /** What is left of the tokens that leave it, where its language ends; null: none does. */
  leaving: TokenTrie | null;
};

/** More tokens are kept as bits. */
const MOST_IDS = 512;
/** For all grammars together. A mask of 49,152 tokens takes 6 KB. */
const MOST_MASK_BYTES = 64 * 2 ** 20;
const MOST_LEAF_BYTES = 64 * 2 ** 20;
const MOST_GRAMMARS = 32;
/** What those grammars took to compile, which bounds how large they are. */
const MOST_GRAMMAR_WORK = 4 * MOST_WORK;
/** Steps and threads of one mask: some tenths of a second, once for each state. */
const MOST_MASK_WORK = 1_000_000;
/** So many nodes of the tree of tokens take as long as a step. */
const VISITS = 20;
/** About what a thread, a token that leaves a leaf, and a node of a tree of tokens take. */
const BYTES = { thread: 32, token: 150, node: 20 };

export class GrammarMasks {
  readonly #vocabulary: Vocabulary;
  readonly #trie: TokenTrie;
  readonly #words: number;
  /** Bytes of the longest token. */
  readonly #reach: number;
  readonly #leafMasks = new LRUCache<string, LeafMask>({ maxSize: MOST_LEAF_BYTES, sizeCalculation: leafMaskBytes });
  readonly #masks = new LRUCache<State, Uint32Array>({
    maxSize: MOST_MASK_BYTES,
    sizeCalculation: (bits, { threads }) => 64 + bits.byteLength + BYTES.thread * threads.length,
  });
  readonly #grammars = new LRUCache<string, Automaton>({ max: MOST_GRAMMARS, maxSize: MOST_GRAMMAR_WORK });

  constructor(vocabulary: Vocabulary, { size }: { size: number }) {
    this.#vocabulary = vocabulary;
    const banned = new Set([...vocabulary.banned, ...vocabulary.eos]);
    const entries = [...Array(size).keys()].flatMap((id) => {
      const bytes = banned.has(id) ? undefined : vocabulary.bytesOf(id);
      // A token without bytes would never bring the grammar any further.
      return bytes === undefined || bytes.length === 0 ? [] : [{ bytes, id }];
    });
    this.#trie = new TokenTrie(entries);
    this.#words = Math.ceil(size / 32);
    this.#reach = entries.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
  }

  /**
   * The mask of one answer. Throws a PlimsollError for a grammar that cannot be compiled; the mask
   * does for a token of a resumed answer that does not follow the grammar.
   */
  maskOf(grammar: Grammar): TokenMask {
    const automaton = this.#automaton(grammar);
    const ends = new Set(this.#vocabulary.eos);
    let state = automaton.start;
    return {
      allowed: () => this.#maskOf(state, automaton),
      accept: (id) => {
        // Whoever ignores ends goes on with more of them: nothing else fits.
        if (ends.has(id)) return;
        const bytes = this.#vocabulary.bytesOf(id) ?? [];
        for (const byte of bytes) {
          const next = automaton.step(state, byte);
          if (next === null) throw new PlimsollError('invalid_request', 'The answer does not follow its grammar.');
          state = next;
        }
      },
    };
  }

  #automaton(grammar: Grammar): Automaton {
    const key = JSON.stringify(grammar);
    let automaton = this.#grammars.get(key);
    if (automaton === undefined) {
      const dropsFirstSpace = this.#vocabulary.dropsFirstSpace ?? false;
      const work = new Work();
      automaton = new Automaton(compileGrammar(grammar, { dropsFirstSpace, work }));
      this.#grammars.set(key, automaton, { size: work.done + key.length });
    }
    return automaton;
  }

  #maskOf(state: State, automaton: Automaton): Uint32Array {
    const known = this.#masks.get(state);
    if (known !== undefined) return known;
    const until = automaton.work + MOST_MASK_WORK;
    const bits = new Uint32Array(this.#words);
    for (const thread of state.threads) {
      const mask = this.#leafMask(thread, automaton);
      if (automaton.work > until) throw ambiguous();
      if (mask.bits !== null) for (let word = 0; word < bits.length; word++) bits[word]! |= mask.bits[word]!;
      for (const id of mask.ids ?? []) bits[id >> 5]! |= 1 << (id & 31);
      if (mask.leaving !== null) addTokens(mask.leaving, 0, { bits, automaton, until, state: automaton.after(thread) });
    }
    if (state.ends) for (const id of this.#vocabulary.eos) bits[id >> 5]! |= 1 << (id & 31);
    this.#masks.set(state, bits);
    return bits;
  }

  #leafMask({ leaf, at }: Thread, automaton: Automaton): LeafMask {
    const key = leaf.maskKey(at, this.#reach);
    const known = this.#leafMasks.get(key);
    if (known !== undefined) return known;
    const trie = this.#trie;
    const ids: number[] = [];
    const leaving: { bytes: Uint8Array; id: number }[] = [];
    let visited = 0;
    const visit = (node: number, state: number) => {
      visited += trie.lastChild[node]! - trie.firstChild[node]!;
      for (let child = trie.firstChild[node]!; child < trie.lastChild[node]!; child++) {
        const next = leaf.step(state, trie.byte[child]!);
        if (next < 0) continue;
        for (let place = trie.firstId[child]!; place < trie.lastId[child]!; place++) ids.push(trie.ids[place]!);
        if (leaf.accepts(next)) for (const one of trie.rest(child)) leaving.push(one);
        if (leaf.goesOn(next)) visit(child, next);
      }
    };
    visit(0, at);
    automaton.work += Math.ceil(visited / VISITS);
    const isLong = ids.length > MOST_IDS;
    const mask: LeafMask = {
      ids: isLong ? null : Int32Array.from(ids),
      bits: isLong ? bitsOf(ids, this.#words) : null,
      leaving: leaving.length === 0 ? null : new TokenTrie(leaving),
    };
    this.#leafMasks.set(key, mask);
    return mask;
  }
}

function addTokens(
  trie: TokenTrie,
  node: number,
  { bits, automaton, until, state }: { bits: Uint32Array; automaton: Automaton; until: number; state: State },
): void {
  for (let child = trie.firstChild[node]!; child < trie.lastChild[node]!; child++) {
    const next = automaton.step(state, trie.byte[child]!);
    if (automaton.work > until) throw ambiguous();
    if (next === null) continue;
    for (let place = trie.firstId[child]!; place < trie.lastId[child]!; place++) {
      const id = trie.ids[place]!;
      bits[id >> 5]! |= 1 << (id & 31);
    }
    addTokens(trie, child, { bits, automaton, until, state: next });
  }
}

function leafMaskBytes({ ids, bits, leaving }: LeafMask, key: string): number {
  const tokens = (ids?.byteLength ?? 0) + (bits?.byteLength ?? 0);
  const trie = leaving === null ? 0 : BYTES.token * leaving.ids.length + BYTES.node * leaving.byte.length;
  return 200 + 2 * key.length + tokens + trie;
}

function bitsOf(ids: readonly number[], words: number): Uint32Array {
  const bits = new Uint32Array(words);
  for (const id of ids) bits[id >> 5]! |= 1 << (id & 31);
  return bits;
}
