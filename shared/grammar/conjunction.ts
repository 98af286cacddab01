/**
 * What a value must be, without alternatives: of which types, and for each type within which
 * bounds. Parts of arrays and objects stay sets of schemas that a value must all be valid under.
 * They are looked at when they are needed, so a schema may contain itself.
 */

import type { Pattern } from './pattern.ts';
import type { Located } from './schema-document.ts';
import { valueKey } from './value-key.ts';

/** All of these at once. None: anything. */
export type Sub = readonly Located[];

export type JsonType = 'null' | 'boolean' | 'number' | 'string' | 'array' | 'object';
export const JSON_TYPES: readonly JsonType[] = ['null', 'boolean', 'number', 'string', 'array', 'object'];

/** What a string must match, or must not; its name tells it apart. */
type NamedPattern = { name: string; pattern: Pattern; negated?: boolean };

export type Conjunction = {
  types: ReadonlySet<JsonType>;
  /** The only values; null: any. */
  values: readonly unknown[] | null;
  /** And none of these. */
  excluded: readonly unknown[];
  number: {
    isInteger: boolean;
    least: number | null;
    most: number | null;
    leastExcluded: boolean;
    mostExcluded: boolean;
    multiplesOf: readonly number[];
  };
  string: { min: number; max: number; patterns: readonly NamedPattern[] };
  array: {
    prefix: readonly Sub[];
    items: Sub;
    min: number;
    max: number;
    /** Whether no two items are equal. */
    isUnique: boolean;
    /** At least so many items are valid under these, for each of them. */
    contains: readonly { sub: Sub; least: number }[];
  };
  object: {
    properties: ReadonlyMap<string, Sub>;
    required: ReadonlySet<string>;
    additional: Sub;
    names: Sub;
    /** At most this many members, and at least. */
    min: number;
    max: number;
  };
};

export const ANYTHING: Conjunction = {
  types: new Set(JSON_TYPES),
  values: null,
  excluded: [],
  number: { isInteger: false, least: null, most: null, leastExcluded: false, mostExcluded: false, multiplesOf: [] },
  string: { min: 0, max: Infinity, patterns: [] },
  array: { prefix: [], items: [], min: 0, max: Infinity, isUnique: false, contains: [] },
  object: { properties: new Map(), required: new Set(), additional: [], names: [], min: 0, max: Infinity },
};

/** What satisfies both. */
export function both(a: Conjunction, b: Conjunction): Conjunction {
  const excluded = a.excluded.length === 0 ? b.excluded : [...a.excluded, ...b.excluded];
  return {
    types: new Set([...a.types].filter((type) => b.types.has(type))),
    values: without(commonValues(a.values, b.values), excluded),
    excluded,
    number: bothNumbers(a.number, b.number),
    string: {
      min: Math.max(a.string.min, b.string.min),
      max: Math.min(a.string.max, b.string.max),
      patterns: [...a.string.patterns, ...b.string.patterns],
    },
    array: {
      prefix: Array.from({ length: Math.max(a.array.prefix.length, b.array.prefix.length) }, (_, i) => [
        ...itemAt(a, i),
        ...itemAt(b, i),
      ]),
      items: [...a.array.items, ...b.array.items],
      min: Math.max(a.array.min, b.array.min),
      max: Math.min(a.array.max, b.array.max),
      isUnique: a.array.isUnique || b.array.isUnique,
      contains: [...a.array.contains, ...b.array.contains],
    },
    object: {
      properties: new Map(
        [...new Set([...a.object.properties.keys(), ...b.object.properties.keys()])].map((name) => [
          name,
          [...memberOf(a, name), ...memberOf(b, name)],
        ]),
      ),
      required: new Set([...a.object.required, ...b.object.required]),
      additional: [...a.object.additional, ...b.object.additional],
      names: [...a.object.names, ...b.object.names],
      min: Math.max(a.object.min, b.object.min),
      max: Math.min(a.object.max, b.object.max),
    },
  };
}

export const itemAt = ({ array }: Conjunction, i: number): Sub => array.prefix[i] ?? array.items;
export const memberOf = ({ object }: Conjunction, name: string): Sub =>
  object.properties.get(name) ?? object.additional;

/** null: any. */
export function commonValues(a: Conjunction['values'], b: Conjunction['values']): Conjunction['values'] {
  if (a === null || b === null) return a ?? b;
  const others = new Set(b.map(valueKey));
  return a.filter((value) => others.has(valueKey(value)));
}

function without(values: Conjunction['values'], excluded: readonly unknown[]): Conjunction['values'] {
  if (values === null || excluded.length === 0) return values;
  const not = new Set(excluded.map(valueKey));
  return values.filter((value) => !not.has(valueKey(value)));
}

function bothNumbers(a: Conjunction['number'], b: Conjunction['number']): Conjunction['number'] {
  const least = tighter(a.least, b.least, Math.max);
  const most = tighter(a.most, b.most, Math.min);
  const excludes = (bound: number | null, side: 'least' | 'most') =>
    [a, b].some((one) => bound !== null && one[side] === bound && one[`${side}Excluded`]);
  return {
    isInteger: a.isInteger || b.isInteger,
    least,
    most,
    leastExcluded: excludes(least, 'least'),
    mostExcluded: excludes(most, 'most'),
    multiplesOf: [...a.multiplesOf, ...b.multiplesOf],
  };
}

function tighter(a: number | null, b: number | null, choose: (a: number, b: number) => number): number | null {
  if (a === null || b === null) return a ?? b;
  return choose(a, b);
}
