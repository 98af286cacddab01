/**
 * Which tokens may come next under a grammar. What the leaves that it may be in say alone is found
 * once for each place in a leaf, whatever surrounds it, and kept for all grammars (leaf-mask.ts).
 * The few tokens that leave a leaf are looked at in each state, from where the leaf ends. XGrammar
 * calls the two kinds context-independent and context-dependent (arXiv 2411.15100).
 */
import { LRUCache } from 'lru-cache';
import type { TokenMask } from '#shared/answer/token-mask.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { Automaton, ambiguous, type State, type Thread } from '#shared/grammar/automaton.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { MOST_WORK, Work } from '#shared/grammar/work.ts';
import { type LeafMask, leafMaskBytes, maskOfLeaf } from './leaf-mask.ts';
import { TokenTrie } from './token-trie.ts';
import { addLiterals, addTokens, type InLiteral, inLiteral } from './token-walk.ts';

/** For all grammars together. A mask of 49,152 tokens takes 6 KB. */
const MOST_MASK_BYTES = 64 * 2 ** 20;
const MOST_LEAF_BYTES = 64 * 2 ** 20;
const MOST_GRAMMARS = 32;
/** What those grammars took to compile, which bounds how large they are. */
const MOST_GRAMMAR_WORK = 4 * MOST_WORK;
/**
 * Steps and threads of one mask: at most some 50 ms, in which the engine draws for nobody. Once for
 * each state. An object of 2,000 optional properties takes a third of it.
 */
const MOST_MASK_WORK = 150_000;
/** So many nodes of the tree of tokens take as long as a step. */
const VISITS = 20;
/** About what a thread takes. */
const THREAD_BYTES = 32;

export class GrammarMasks {
  readonly #vocabulary: Vocabulary;
  readonly #trie: TokenTrie;
  readonly #words: number;
  readonly #leafMasks = new LRUCache<string, LeafMask>({ maxSize: MOST_LEAF_BYTES, sizeCalculation: leafMaskBytes });
  readonly #masks = new LRUCache<State, Uint32Array>({
    maxSize: MOST_MASK_BYTES,
    sizeCalculation: (bits, { threads }) => 64 + bits.byteLength + THREAD_BYTES * threads.length,
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
  }

  /** Finds what all JSON has in common before an answer waits for it. */
  prepare(): void {
    const automaton = this.#automaton({ type: 'json_object' });
    let state: State | null = automaton.start;
    for (const byte of new TextEncoder().encode('{\n"":0, "":[],"":""')) {
      if (state !== null) this.#maskOf(state, automaton);
      state = state && automaton.step(state, byte);
    }
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
    const walk = { bits, automaton, until };
    const literals: InLiteral[] = [];
    for (const thread of state.threads) {
      const literal = inLiteral(thread);
      if (literal !== null) {
        literals.push(literal);
        continue;
      }
      const { ids, bits: inside, leaving } = this.#leafMask(thread, automaton);
      if (automaton.work > until) throw ambiguous();
      if (inside !== null) for (let word = 0; word < bits.length; word++) bits[word]! |= inside[word]!;
      for (const id of ids ?? []) bits[id >> 5]! |= 1 << (id & 31);
      if (leaving === null) {
        // Where nothing comes after the leaf, no token goes beyond it.
        if (thread.then !== null) addTokens(this.#trie, { state }, walk);
        continue;
      }
      for (const { exit, nodes, rest } of leaving) {
        const after = automaton.after(thread, exit);
        for (const root of nodes) addTokens(this.#trie, { root, state: after }, walk);
        addTokens(rest, { state: after }, walk);
      }
    }
    addLiterals(this.#trie, literals, walk);
    if (state.ends) for (const id of this.#vocabulary.eos) bits[id >> 5]! |= 1 << (id & 31);
    this.#masks.set(state, bits);
    return bits;
  }

  #leafMask({ leaf, at }: Thread, automaton: Automaton): LeafMask {
    const key = leaf.maskKey(at, this.#trie.reach);
    const known = this.#leafMasks.get(key);
    if (known !== undefined) return known;
    const { mask, visited } = maskOfLeaf(this.#trie, { leaf, at, words: this.#words });
    automaton.work += Math.ceil(visited / VISITS);
    this.#leafMasks.set(key, mask);
    return mask;
  }
}
