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
  /** After a leaf with several exits: where each of them leads. Nothing else is in such a state. */
  branches?: readonly number[];
};

/** State 0 is the start. */
export class Rule {
  states: RuleState[] = [{ edges: [], skips: [], accepting: false }];

  state(): number {
    return this.states.push({ edges: [], skips: [], accepting: false }) - 1;
  }

  /** Reads a symbol. Returns the state after it: `to`, or a new one. */
  read(from: number, symbol: Part, to = this.state()): number {
    this.states[from]!.edges.push({ symbol, to });
    return to;
  }

  /** Reads a leaf with several exits. Returns the state after each. */
  branch(from: number, leaf: Leaf, exits: number): number[] {
    const at = this.read(from, leaf);
    const branches = Array.from({ length: exits }, () => this.state());
    this.states[at]!.branches = branches;
    return branches;
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
    rule.states = rule.states.map(({ edges, skips, ...rest }) => ({
      ...rest,
      edges: edges.filter(({ symbol, to }) => alive.has(to) && isEnding(symbol, ends)),
      skips: skips.filter((to) => alive.has(to)),
    }));
  }
  return ends.has(root);
}

const isEnding = (symbol: Part, ends: ReadonlySet<Rule>) => !(symbol instanceof Rule) || ends.has(symbol);

/** The states from which a rule can end, if these other rules can. */
function endingStates(rule: Rule, ends: ReadonlySet<Rule>, work: Work): Set<number> {
  const before: number[][] = Array.from(rule.states, () => []);
  for (const [from, { edges, skips, branches = [] }] of rule.states.entries()) {
    work.spend(2 + edges.length + skips.length + branches.length);
    for (const { symbol, to } of edges) if (isEnding(symbol, ends)) before[to]!.push(from);
    for (const to of skips) before[to]!.push(from);
    for (const to of branches) before[to]!.push(from);
  }
  const alive = new Set([...rule.states.keys()].filter((state) => rule.states[state]!.accepting));
  for (const state of alive) {
    for (const earlier of before[state]!) {
      // The leaf may leave by any of its exits, so all of them have to lead to an end.
      const { branches } = rule.states[earlier]!;
      if (branches === undefined || branches.every((to) => alive.has(to))) alive.add(earlier);
    }
  }
  return alive;
}
