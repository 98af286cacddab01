/**
 * The rules of a grammar: automata whose edges read leaves or other rules. A rule may contain
 * itself, behind a leaf that reads at least one byte.
 */
import type { Leaf } from './leaf.ts';
import type { Work } from './work.ts';

export type Part = Leaf | Rule;

type RuleState = {
  edges: { symbol: Part; to: number }[];
  /** States that it may go on as, without reading. */
  skips: number[];
  accepting: boolean;
};

let rules = 0;

/** State 0 is the start. */
export class Rule {
  /** Tells rules apart. */
  readonly number = rules++;
  states: RuleState[] = [{ edges: [], skips: [], accepting: false }];

  state(): number {
    return this.states.push({ edges: [], skips: [], accepting: false }) - 1;
  }

  /** Reads a symbol. Returns the state after it: `to`, or a new one. */
  read(from: number, symbol: Part, to = this.state()): number {
    this.states[from]!.edges.push({ symbol, to });
    return to;
  }

  skip(from: number, to: number): void {
    this.states[from]!.skips.push(to);
  }

  accept(state: number): void {
    this.states[state]!.accepting = true;
  }
}

export function sequenceRule(symbols: readonly Part[]): Rule {
  const rule = new Rule();
  rule.accept(symbols.reduce((at, symbol) => rule.read(at, symbol), 0));
  return rule;
}

export function choiceRule(symbols: readonly Part[]): Rule {
  const rule = new Rule();
  const end = rule.state();
  for (const symbol of symbols) rule.read(0, symbol, end);
  rule.accept(end);
  return rule;
}

/**
 * Cuts off whatever can never end, so that the rest can always. Returns whether anything of `root`
 * is left: a text that it accepts.
 */
export function prune(root: Rule, work: Work): boolean {
  const all = new Set([root]);
  for (const rule of all) {
    for (const { symbol } of rule.states.flatMap(({ edges }) => edges)) if (symbol instanceof Rule) all.add(symbol);
  }
  // Rules found late are those that others stand on, so they come first.
  const order = [...all].reverse();
  const ends = new Set<Rule>();
  for (let before = -1; before !== ends.size; ) {
    before = ends.size;
    for (const rule of order) if (!ends.has(rule) && endingStates(rule, ends, work).has(0)) ends.add(rule);
  }
  for (const rule of all) {
    const alive = endingStates(rule, ends, work);
    rule.states = rule.states.map(({ edges, skips, accepting }) => ({
      edges: edges.filter(({ symbol, to }) => alive.has(to) && isEnding(symbol, ends)),
      skips: skips.filter((to) => alive.has(to)),
      accepting,
    }));
  }
  return ends.has(root);
}

const isEnding = (symbol: Part, ends: ReadonlySet<Rule>) => !(symbol instanceof Rule) || ends.has(symbol);

/** The states from which a rule can end, if these other rules can. */
function endingStates(rule: Rule, ends: ReadonlySet<Rule>, work: Work): Set<number> {
  const before: number[][] = Array.from(rule.states, () => []);
  for (const [from, { edges, skips }] of rule.states.entries()) {
    work.spend(2 + edges.length + skips.length);
    for (const { symbol, to } of edges) if (isEnding(symbol, ends)) before[to]!.push(from);
    for (const to of skips) before[to]!.push(from);
  }
  const alive = new Set([...rule.states.keys()].filter((state) => rule.states[state]!.accepting));
  for (const state of alive) for (const earlier of before[state]!) alive.add(earlier);
  return alive;
}
