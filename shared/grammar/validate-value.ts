/** Whether a value of `enum` or `const` is valid under what else a schema says. */

import { type Conjunction, itemAt, memberOf, type Sub } from './conjunction.ts';
import { type Expansion, typeOf } from './expand-schema.ts';
import type { Leaf } from './leaf.ts';
import { isMultiple } from './multiples-table.ts';
import { stringPatternLeaf } from './pattern-leaf.ts';
import { valueKey } from './value-key.ts';

export const isValid = (value: unknown, sub: Sub, expansion: Expansion): boolean =>
  expansion.alternatives(sub).some((conjunction) => satisfies(value, conjunction, expansion));

export function satisfies(value: unknown, conjunction: Conjunction, expansion: Expansion): boolean {
  const { types, values, excluded, number, string, array, object } = conjunction;
  expansion.work.spend(10 + object.required.size + 10 * ((values?.length ?? 0) + excluded.length));
  const type = typeOf(value);
  if (![...types].some((one) => one === type)) return false;
  if (values !== null && !values.some((one) => valueKey(one) === valueKey(value))) return false;
  if (excluded.some((one) => valueKey(one) === valueKey(value))) return false;
  if (typeof value === 'number') {
    if (number.isInteger && !Number.isInteger(value)) return false;
    if (number.least !== null && (number.leastExcluded ? value <= number.least : value < number.least)) return false;
    if (number.most !== null && (number.mostExcluded ? value >= number.most : value > number.most)) return false;
    return number.multiplesOf.every((of) => isMultiple(value, of));
  }
  if (typeof value === 'string') {
    const length = [...value].length;
    if (length < string.min || length > string.max) return false;
    if (string.patterns.length === 0) return true;
    const leaf = leafOf(string.patterns, expansion);
    expansion.work.spend(length);
    return leaf !== null && accepts(leaf, JSON.stringify(value));
  }
  if (Array.isArray(value)) {
    if (value.length < array.min || value.length > array.max) return false;
    if (array.isUnique && new Set(value.map(valueKey)).size < value.length) return false;
    return (
      value.every((item, i) => isValid(item, itemAt(conjunction, i), expansion)) &&
      array.contains.every(({ sub, least }) => value.filter((item) => isValid(item, sub, expansion)).length >= least)
    );
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length < object.min || entries.length > object.max) return false;
    if ([...object.required].some((name) => !Object.hasOwn(value, name))) return false;
    return entries.every(
      ([name, member]) =>
        isValid(member, memberOf(conjunction, name), expansion) && isValid(name, object.names, expansion),
    );
  }
  return true;
}

function leafOf(patterns: Conjunction['string']['patterns'], { leaves, work }: Expansion): Leaf | null {
  const names = patterns.map(({ name, negated = false }) => [name, negated]);
  const id = `string 0 Infinity ${JSON.stringify([names, []])}`;
  let leaf = leaves.get(id);
  if (leaf === undefined) {
    leaf = stringPatternLeaf(id, { patterns, work });
    leaves.set(id, leaf);
  }
  return leaf;
}

/** Whether an automaton accepts a text. */
function accepts(leaf: Leaf, text: string): boolean {
  let state = leaf.start;
  for (const byte of new TextEncoder().encode(text)) {
    state = leaf.step(state, byte);
    if (state < 0) return false;
  }
  return leaf.accepts(state);
}
