/**
 * The parts of JSON, as an answer writes it: as `JSON.stringify` does, and also with a space after
 * `:` and `,`, or with each member on a line of its own. White space has a bound, because a model
 * that may write it without end does so.
 */
import { charsOf } from './char-set.ts';
import { type Leaf, LiteralLeaf } from './leaf.ts';
import { chars, choice, literal, NOTHING, type Pattern, repeat, sequence } from './pattern.ts';
import { plainLeaf } from './pattern-leaf.ts';
import type { Part, Rule } from './rule.ts';
import { Work } from './work.ts';

const MOST_INDENT = 32;
const space = literal(' ');
const lineBreak = sequence(literal('\n'), repeat(chars(charsOf(' ')), 0, MOST_INDENT));

/** The cast: none of these is empty. */
const leaf = (id: string, pattern: Pattern) => plainLeaf(id, { patterns: [pattern], work: new Work() }) as Leaf;

/** After an opening bracket, and before a closing one. */
const GAP = leaf('gap', choice(NOTHING, space, lineBreak));
const COMMA = leaf('comma', sequence(literal(','), choice(NOTHING, space, lineBreak)));
const COLON = leaf('colon', sequence(literal(':'), choice(NOTHING, space)));
const OPEN_OBJECT = new LiteralLeaf('{');
const CLOSE_OBJECT = new LiteralLeaf('}');
const OPEN_ARRAY = new LiteralLeaf('[');
const CLOSE_ARRAY = new LiteralLeaf(']');

export type ObjectRule = {
  /** In the order in which they are written. */
  properties: readonly { name: string; value: Part; required: boolean }[];
  /** What else it may have, any number of times: the name, as a JSON string, and the value. */
  additional: { name: Leaf; value: Part } | null;
};

/** Writes an object into `rule`, which must be new. */
export function addObject(rule: Rule, { properties, additional }: ObjectRule): void {
  const member = (from: number, name: Leaf, value: Part, to: number) =>
    rule.read(rule.read(rule.read(from, name), COLON), value, to);
  const opened = rule.read(rule.read(0, OPEN_OBJECT), GAP);
  const closing = rule.state();
  rule.accept(rule.read(rule.read(closing, GAP), CLOSE_OBJECT));
  const mayClose = (first: number, later: number) => {
    // An empty object has no gap twice.
    rule.accept(rule.read(first, CLOSE_OBJECT));
    rule.skip(later, closing);
  };
  // What has come before the i-th property: no member yet, a member, or a member and a comma.
  let first = opened;
  let later = rule.state();
  let comma = rule.read(later, COMMA);
  const lastRequired = properties.findLastIndex(({ required }) => required);
  for (const [i, { name, value, required }] of properties.entries()) {
    if (i > lastRequired) mayClose(first, later);
    const key = new LiteralLeaf(JSON.stringify(name));
    const [nextFirst, nextLater] = [rule.state(), rule.state()];
    const nextComma = rule.read(nextLater, COMMA);
    member(first, key, value, nextLater);
    member(comma, key, value, nextLater);
    if (!required) {
      rule.skip(first, nextFirst);
      rule.skip(comma, nextComma);
    }
    [first, later, comma] = [nextFirst, nextLater, nextComma];
  }
  mayClose(first, later);
  if (additional === null) return;
  member(first, additional.name, additional.value, later);
  member(comma, additional.name, additional.value, later);
}

/** An array as an automaton over its items: where it begins, and what may follow each state. */
export type ArrayRule<S> = {
  start: S;
  /** One key for each state. */
  keyOf: (state: S) => string;
  items: (state: S) => readonly { item: Part; to: S }[];
  mayEnd: (state: S) => boolean;
};

/** Writes an array into `rule`, which must be new. */
export function addArray<S>(rule: Rule, { start, keyOf, items, mayEnd }: ArrayRule<S>): void {
  const opened = rule.read(rule.read(0, OPEN_ARRAY), GAP);
  const closing = rule.state();
  rule.accept(rule.read(rule.read(closing, GAP), CLOSE_ARRAY));
  if (mayEnd(start)) rule.accept(rule.read(opened, CLOSE_ARRAY));
  // By state: behind an item that has led to it.
  const behind = new Map<string, number>();
  const found: { state: S; next: number }[] = [{ state: start, next: opened }];
  for (const { state, next } of found) {
    for (const { item, to } of items(state)) {
      const known = behind.get(keyOf(to));
      const after = rule.read(next, item, known ?? rule.state());
      if (known !== undefined) continue;
      behind.set(keyOf(to), after);
      if (mayEnd(to)) rule.skip(after, closing);
      // A comma that nothing may follow is cut off with all that cannot end.
      found.push({ state: to, next: rule.read(after, COMMA) });
    }
  }
}
