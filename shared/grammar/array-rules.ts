/** The arrays of a schema, as automata over their items. */
import { type Conjunction, itemAt, type Sub } from './conjunction.ts';
import type { Expansion } from './expand-schema.ts';
import { GrammarError } from './grammar-error.ts';
import { addArray } from './json-rules.ts';
import { type Part, Rule } from './rule.ts';
import { satisfies } from './validate-value.ts';
import { valueKey } from './value-key.ts';

/** Each subset of the values that an array has had is a state. */
const MOST_UNIQUE = 8;
const MOST_STATES = 4_000;

type Parts = {
  expansion: Expansion;
  /** Where the schema is, for errors. */
  place: string;
  rule: (sub: Sub) => Rule;
  value: (value: unknown) => Part;
};

const unsupported = ({ place }: Parts, keyword: string, problem: string) =>
  new GrammarError(problem, { pointer: `${place}/${keyword}`, unsupported: true });

/** The arrays of a conjunction, whose `min` is not above its `max`. */
export function arrayRule(conjunction: Conjunction, parts: Parts): Rule {
  const { max, isUnique, contains } = conjunction.array;
  const rule = new Rule();
  if (!isUnique || max <= 1) addCounted(rule, conjunction, parts);
  else if (contains.length === 0) addUnique(rule, conjunction, parts);
  else throw unsupported(parts, 'uniqueItems', 'is not supported beside contains');
  return rule;
}

/** Its state is how many items there are, as far as that matters, and how many are contained. */
function addCounted(rule: Rule, conjunction: Conjunction, parts: Parts): void {
  const { prefix, min, max, contains } = conjunction.array;
  const [needed, ...others] = contains;
  if (others.length > 0) throw unsupported(parts, 'contains', 'is not supported twice for one array');
  const least = needed?.least ?? 0;
  // From here on, all items are alike.
  const alike = Math.max(prefix.length, min) + 1;
  if ((max === Infinity ? alike : max) * (least + 1) > MOST_STATES) {
    throw unsupported(parts, 'contains', 'is not supported for so many items');
  }
  addArray(rule, {
    start: { count: 0, contained: 0 },
    keyOf: ({ count, contained }) => `${count} ${contained}`,
    mayEnd: ({ count, contained }) => count >= min && contained >= least,
    items: ({ count, contained }) => {
      parts.expansion.work.spend(10);
      if (count >= max) return [];
      const next = max === Infinity ? Math.min(count + 1, alike) : count + 1;
      const item = itemAt(conjunction, count);
      const any = { item: parts.rule(item), to: { count: next, contained } };
      if (needed === undefined || contained >= least) return [any];
      // Whether an item counts need not be decided: of all readings, one counts enough.
      return [any, { item: parts.rule([...item, ...needed.sub]), to: { count: next, contained: contained + 1 } }];
    },
  });
}

/** Its state is which values it has had: there are as many items. */
function addUnique(rule: Rule, conjunction: Conjunction, parts: Parts): void {
  const { prefix, min, max } = conjunction.array;
  const places = Array.from({ length: Math.min(prefix.length, MOST_UNIQUE) + 1 }, (_, i) =>
    valuesOf(itemAt(conjunction, i), parts),
  );
  const all = [...new Map(places.flat().map((value) => [valueKey(value), value])).values()];
  if (all.length > MOST_UNIQUE) throw unsupported(parts, 'uniqueItems', UNIQUE);
  const allowed = places.map((values) => new Set(values.map(valueKey)));
  const written = all.map((value) => ({ key: valueKey(value), item: parts.value(value) }));
  addArray<readonly number[]>(rule, {
    start: [],
    keyOf: (had) => had.join(),
    mayEnd: ({ length }) => length >= min,
    items: (had) => {
      parts.expansion.work.spend(10 * written.length);
      if (had.length >= max) return [];
      const here = allowed[Math.min(had.length, allowed.length - 1)]!;
      return written.flatMap(({ key, item }, i) =>
        had.includes(i) || !here.has(key) ? [] : [{ item, to: [...had, i].sort((a, b) => a - b) }],
      );
    },
  });
}

const UNIQUE = `is only supported where items are of at most ${MOST_UNIQUE} values, as those of enum are`;

/** All values that are valid under these schemas. */
function valuesOf(sub: Sub, parts: Parts): unknown[] {
  const { expansion } = parts;
  return expansion.alternatives(sub).flatMap((one) => {
    const types = [...one.types];
    if (one.values === null && types.some((type) => type !== 'null' && type !== 'boolean')) {
      throw unsupported(parts, 'uniqueItems', UNIQUE);
    }
    const values = one.values ?? types.flatMap((type): unknown[] => (type === 'null' ? [null] : [true, false]));
    return values.filter((value) => satisfies(value, { ...one, values: null }, expansion));
  });
}
