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

export type Conjunction = {
  types: ReadonlySet<JsonType>;
  /** The only values; null: any. */
  values: readonly unknown[] | null;
  number: {
    isInteger: boolean;
    least: number | null;
    most: number | null;
    leastExcluded: boolean;
    mostExcluded: boolean;
    /** Of whole numbers. */
    multiplesOf: readonly number[];
  };
  string: { min: number; max: number; patterns: readonly { name: string; pattern: Pattern }[] };
  array: { prefix: readonly Sub[]; items: Sub; min: number; max: number };
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
  number: { isInteger: false, least: null, most: null, leastExcluded: false, mostExcluded: false, multiplesOf: [] },
  string: { min: 0, max: Infinity, patterns: [] },
  array: { prefix: [], items: [], min: 0, max: Infinity },
  object: { properties: new Map(), required: new Set(), additional: [], names: [], min: 0, max: Infinity },
};

/** What satisfies both. */
export function both(a: Conjunction, b: Conjunction): Conjunction {
  return {
    types: new Set([...a.types].filter((type) => b.types.has(type))),
    values: commonValues(a.values, b.values),
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
