/** The tests of `is`, and of `select`, `reject` and their kin. */
import { Text } from './text.ts';
import {
  Callable,
  compare,
  Dict,
  equal,
  Float,
  itemsOf,
  List,
  Namespace,
  numberOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spendCharacters, spendSearch } from './work.ts';

type Test = (value: Value, other: Value) => boolean;

const integer = (value: Value): number => {
  const number = numberOf(value);
  if (number === undefined) throw new Error(`a ${typeName(value)} is no number`);
  return number;
};

const less: Test = (a, b) => compare(a, b) < 0;
const more: Test = (a, b) => compare(a, b) > 0;

const TESTS: Readonly<Record<string, Test>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  string: (value) => value instanceof Text,
  number: (value) => numberOf(value) !== undefined,
  integer: (value) => typeof value === 'number',
  float: (value) => value instanceof Float,
  mapping: (value) => value instanceof Dict,
  sequence: (value) => value instanceof Text || value instanceof List || value instanceof Dict,
  iterable: (value) =>
    value instanceof Text || value instanceof List || value instanceof Dict || value instanceof Undefined,
  callable: (value) => value instanceof Callable,
  odd: (value) => Math.abs(integer(value)) % 2 === 1,
  even: (value) => integer(value) % 2 === 0,
  divisibleby: (value, by) => integer(value) % integer(by) === 0,
  lower: (value) => value instanceof Text && /\p{Ll}/u.test(value.string) && !/[\p{Lu}\p{Lt}]/u.test(value.string),
  upper: (value) => value instanceof Text && /\p{Lu}/u.test(value.string) && !/[\p{Ll}\p{Lt}]/u.test(value.string),
  equalto: equal,
  eq: equal,
  '==': equal,
  ne: (a, b) => !equal(a, b),
  '!=': (a, b) => !equal(a, b),
  in: (value, container) => contains(container, value),
  lt: less,
  lessthan: less,
  '<': less,
  gt: more,
  greaterthan: more,
  '>': more,
  le: (a, b) => !more(a, b),
  '<=': (a, b) => !more(a, b),
  ge: (a, b) => !less(a, b),
  '>=': (a, b) => !less(a, b),
};

export function passes(name: string, value: Value, other: Value = null): boolean {
  if (!Object.hasOwn(TESTS, name)) throw new Error(`unknown test: ${name}`);
  if (value instanceof Text) spendCharacters(value.string.length);
  return TESTS[name]!(value, other);
}

/** Python's `in`. */
export function contains(container: Value, value: Value): boolean {
  if (container instanceof Text) {
    if (value instanceof Text) {
      spendSearch(container.string, value.string);
      return container.string.includes(value.string);
    }
    throw new Error(`a string cannot contain a ${typeName(value)}`);
  }
  if (container instanceof Dict) return container.get(value) !== undefined;
  if (container instanceof Namespace) throw new Error('a namespace cannot contain anything');
  return itemsOf(container).some((item) => equal(item, value));
}
