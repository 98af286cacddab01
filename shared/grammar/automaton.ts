/**
 * Reads an answer byte by byte along a grammar: a pushdown automaton that follows all ways to read
 * it at once. Each way is a thread: a place in a leaf, and the rules that go on after it. States
 * (sets of threads) and their steps are made when they are first needed, and kept: JSON of any
 * length keeps coming back to a few.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { type Leaf, LiteralLeaf } from './leaf.ts';
import { Rule } from './rule.ts';

/** Where a rule goes on once what it has called is over. */
type Frame = { readonly number: number; readonly rule: Rule; readonly state: number; readonly parent: Frame | null };

export type Thread = {
  readonly number: number;
  readonly leaf: Leaf;
  readonly at: number;
  /** null: nothing follows. */
  readonly then: Frame | null;
};

export type State = {
  readonly threads: readonly Thread[];
  /** Whether the text may end here. */
  readonly ends: boolean;
  /** By byte: the next state, null if there is none. */
  readonly next: Map<number, State | null>;
  /** Of a state with many threads, once it is stepped from: those that a byte may concern. */
  byByte?: ReadonlyMap<number, readonly Thread[]>;
};

/** With more threads, a state sorts those in literals by their next byte. */
const FEW_THREADS = 8;

/** Then it forgets those it knows. Those in use stay as they are. */
const MOST_KNOWN = 20_000;
const MOST_KNOWN_THREADS = 500_000;
/** More ways to read one text at once are not followed: alternatives in each other multiply. */
const MOST_THREADS = 4_000;
/** Places that one step may go through. */
const MOST_PLACES = 20_000;

export class Automaton {
  readonly start: State;
  readonly #frames = new Map<Rule, Map<number | string, Frame>>();
  readonly #threads = new Map<Leaf, Map<number | string, Thread>>();
  readonly #states = new Map<string, State>();
  readonly #after = new Map<Frame, State[]>();
  readonly #over: State = { threads: [], ends: true, next: new Map() };
  #count = 1;
  /** Frames and threads that it knows, and threads of the states that it knows. */
  #known = 0;
  #knownThreads = 0;
  /** How much it has done so far: threads and places in rules that it went through. */
  work = 0;

  /**
   * Throws a PlimsollError, as `step` and `after` do, where there are too many ways to read a text.
   *
   * @param root pruned: all that is left of it can end
   */
  constructor(root: Rule) {
    const reading = new Reading(this);
    reading.enter(root, 0, null);
    this.start = this.#stateOf(reading);
  }

  /** The state after one more byte; null if that may not come. */
  step(state: State, byte: number): State | null {
    this.work++;
    const known = state.next.get(byte);
    if (known !== undefined) return known;
    const threads = concerned(state, byte);
    this.work += threads.length;
    this.#forgetMany();
    const reading = new Reading(this);
    for (const { leaf, at, then } of threads) {
      const to = leaf.step(at, byte);
      if (to >= 0) reading.go(leaf, to, then);
    }
    const next = reading.threads.size === 0 && !reading.ends ? null : this.#stateOf(reading);
    state.next.set(byte, next);
    return next;
  }

  /** The state once a thread's leaf is over, by this exit of it. */
  after({ then }: Thread, exit: number): State {
    if (then === null) return this.#over;
    const known = this.#after.get(then)?.[exit];
    if (known !== undefined) return known;
    this.#forgetMany();
    const reading = new Reading(this);
    reading.leave(then, exit);
    const state = this.#stateOf(reading);
    const byExit = this.#after.get(then) ?? [];
    byExit[exit] = state;
    this.#after.set(then, byExit);
    return state;
  }

  frame(rule: Rule, state: number, parent: Frame | null): Frame {
    const known = mapOf(this.#frames, rule);
    const key = pair(state, parent?.number ?? 0);
    let frame = known.get(key);
    if (frame === undefined) {
      frame = { number: this.#count++, rule, state, parent };
      known.set(key, frame);
      this.#known++;
    }
    return frame;
  }

  thread(leaf: Leaf, at: number, then: Frame | null): Thread {
    const known = mapOf(this.#threads, leaf);
    const key = pair(at, then?.number ?? 0);
    let thread = known.get(key);
    if (thread === undefined) {
      thread = { number: this.#count++, leaf, at, then };
      known.set(key, thread);
      this.#known++;
    }
    return thread;
  }

  #stateOf({ threads, ends }: Reading): State {
    const sorted = [...threads].sort((a, b) => a.number - b.number);
    const key = `${ends} ${sorted.map(({ number }) => number).join()}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = { threads: sorted, ends, next: new Map() };
      this.#states.set(key, state);
      this.#knownThreads += sorted.length;
    }
    return state;
  }

  /** Not while it reads: what it has seen would look new. */
  #forgetMany(): void {
    if (this.#known < MOST_KNOWN && this.#states.size < MOST_KNOWN && this.#knownThreads < MOST_KNOWN_THREADS) return;
    for (const each of [this.#frames, this.#threads, this.#states, this.#after]) each.clear();
    this.#known = 0;
    this.#knownThreads = 0;
    // Else the start would keep all that was ever reached from it.
    this.start.next.clear();
    this.#over.next.clear();
  }
}

function mapOf<K, V>(maps: Map<K, Map<number | string, V>>, key: K): Map<number | string, V> {
  let map = maps.get(key);
  if (map === undefined) {
    map = new Map();
    maps.set(key, map);
  }
  return map;
}

const HALF = 2 ** 26;
/** Two numbers as one key. */
const pair = (a: number, b: number): number | string => (a < HALF && b < HALF ? a * HALF + b : `${a}/${b}`);

/** Collects the threads of one state. Its size has a bound, and so has the work. */
class Reading {
  readonly threads = new Set<Thread>();
  ends = false;
  readonly #automaton: Automaton;
  readonly #entered = new Set<Frame>();
  readonly #been = new Set<Thread>();
  #places = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  enter(rule: Rule, state: number, parent: Frame | null): void {
    this.#count();
    const here = this.#automaton.frame(rule, state, parent);
    if (this.#entered.has(here)) return;
    this.#entered.add(here);
    const { edges, skips, accepting } = rule.states[state]!;
    if (accepting) this.leave(parent);
    for (const to of skips) this.enter(rule, to, parent);
    for (const { symbol, to } of edges) {
      // Where a rule has nothing left to do, it need not be remembered.
      const then = isOver(rule, to) ? parent : this.#automaton.frame(rule, to, parent);
      if (symbol instanceof Rule) this.enter(symbol, 0, then);
      else this.go(symbol, symbol.start, then);
    }
  }

  go(leaf: Leaf, at: number, then: Frame | null): void {
    const thread = this.#automaton.thread(leaf, at, then);
    if (this.#been.has(thread)) return;
    this.#been.add(thread);
    this.#count();
    if (leaf.goesOn(at)) this.threads.add(thread);
    if (this.threads.size > MOST_THREADS) throw ambiguous();
    if (leaf.accepts(at)) this.leave(then, leaf.exit(at));
  }

  /** @param exit of the leaf that is over */
  leave(then: Frame | null, exit = 0): void {
    if (then === null) {
      this.ends = true;
      return;
    }
    const { rule, state, parent } = then;
    this.enter(rule, rule.states[state]!.branches?.[exit] ?? state, parent);
  }

  #count(): void {
    this.#automaton.work++;
    if (++this.#places > MOST_PLACES) throw ambiguous();
  }
}

/** The threads that a byte may take further, and perhaps others. */
function concerned(state: State, byte: number): readonly Thread[] {
  if (state.threads.length <= FEW_THREADS) return state.threads;
  state.byByte ??= sorted(state.threads);
  return state.byByte.get(byte) ?? state.byByte.get(-1)!;
}

/** By their next byte those in literals, and with them all others, which are also under -1. */
function sorted(threads: readonly Thread[]): Map<number, Thread[]> {
  const others = threads.filter(({ leaf }) => !(leaf instanceof LiteralLeaf));
  const byByte = new Map([[-1, others]]);
  for (const thread of threads) {
    if (!(thread.leaf instanceof LiteralLeaf)) continue;
    const byte = thread.leaf.rest(thread.at)[0]!;
    const those = byByte.get(byte);
    if (those === undefined) byByte.set(byte, [...others, thread]);
    else those.push(thread);
  }
  return byByte;
}

/** Of one answer: its grammar can be read, but not this text. */
export const ambiguous = (): PlimsollError =>
  new PlimsollError(
    'unsupported_value',
    'The grammar has too many ways to read the answer: expected fewer alternatives that begin alike.',
  );

function isOver({ states }: Rule, state: number): boolean {
  const { edges, skips, accepting } = states[state]!;
  return accepting && edges.length === 0 && skips.length === 0;
}
