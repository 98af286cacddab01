/** The values of the template language, and what Python does with them everywhere. */
import { Text } from './text.ts';
import { spendCharacters, spendSteps } from './work.ts';

export type Value = Text | number | Float | boolean | null | Undefined | List | Dict | Namespace | Callable;
export type Arguments = { positional: readonly Value[]; named: ReadonlyMap<string, Value> };

/** A number with a point. Plain numbers are integers. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** What a name stands for that has no value. It prints as nothing, and is false. */
export class Undefined {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export class List {
  readonly items: readonly Value[];
  readonly kind: 'list' | 'tuple';
  constructor(items: readonly Value[], kind: 'list' | 'tuple' = 'list') {
    spendSteps(items.length);
    this.items = items;
    this.kind = kind;
  }
}

export class Dict {
  readonly #entries = new Map<string, readonly [key: Value, value: Value]>();
  constructor(entries: Iterable<readonly [Value, Value]>) {
    for (const entry of entries) {
      spendSteps();
      this.#entries.set(keyOf(entry[0]), entry);
    }
  }
  static of(fields: Readonly<Record<string, Value>>): Dict {
    return new Dict(Object.entries(fields).map(([key, value]) => [Text.written(key), value]));
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(keyOf(key))?.[1];
  }
  entries(): (readonly [Value, Value])[] {
    spendSteps(this.size);
    return [...this.#entries.values()];
  }
}

/** What `namespace()` makes, and `loop`: fields by name, which `set` may change. */
export class Namespace {
  readonly fields: Map<string, Value>;
  constructor(fields: Iterable<readonly [string, Value]>) {
    this.fields = new Map(fields);
  }
}

export class Callable {
  readonly call: (args: Arguments) => Value;
  constructor(call: (args: Arguments) => Value) {
    this.call = call;
  }
}

/** Equal keys are equal strings. In Python, 1, 1.0 and true are one key. */
function keyOf(key: Value): string {
  if (key instanceof Text) {
    spendCharacters(key.string.length);
    return `s${key.string}`;
  }
  if (key === null) return 'none';
  const number = numberOf(key);
  if (number === undefined) throw new Error(`a ${typeName(key)} cannot be a key`);
  return `n${number}`;
}

/** The number that a value is; false and true are 0 and 1, as in Python. */
export function numberOf(value: Value): number | undefined {
  if (value instanceof Float) return value.value;
  return typeof value === 'number' || typeof value === 'boolean' ? Number(value) : undefined;
}

export function typeName(value: Value): string {
  if (value === null) return 'None';
  if (value instanceof Text) return 'string';
  if (value instanceof List) return value.kind;
  if (typeof value === 'number') return 'integer';
  return typeof value === 'boolean' ? 'boolean' : value.constructor.name.toLowerCase();
}

export function isTrue(value: Value): boolean {
  if (value instanceof Text) return value.string !== '';
  if (value instanceof List) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value === null || value instanceof Undefined) return false;
  return numberOf(value) !== 0;
}

export function equal(a: Value, b: Value): boolean {
  spendSteps();
  if (a instanceof Text && b instanceof Text) {
    if (a.string.length === b.string.length) spendCharacters(a.string.length);
    return a.string === b.string;
  }
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (a instanceof List && b instanceof List) {
    return (
      a.kind === b.kind && a.items.length === b.items.length && a.items.every((item, i) => equal(item, b.items[i]!))
    );
  }
  if (a instanceof Dict && b instanceof Dict) {
    return a.size === b.size && a.entries().every(([key, value]) => equal(value, b.get(key) ?? new Undefined('')));
  }
  const [left, right] = [numberOf(a), numberOf(b)];
  return left === undefined || right === undefined ? a === b : left === right;
}

/** Less than zero, zero, or more, as a is before, beside or behind b. */
export function compare(a: Value, b: Value): number {
  spendSteps();
  if (a instanceof Text && b instanceof Text) return compareCodePoints(a.string, b.string);
  if (a instanceof List && b instanceof List) {
    const at = a.items.findIndex((item, i) => i >= b.items.length || !equal(item, b.items[i]!));
    if (at === -1) return a.items.length - b.items.length;
    return at >= b.items.length ? 1 : compare(a.items[at]!, b.items[at]!);
  }
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left === undefined || right === undefined) {
    throw new Error(`a ${typeName(a)} and a ${typeName(b)} have no order`);
  }
  return left - right;
}

function compareCodePoints(a: string, b: string): number {
  spendCharacters(a.length + b.length);
  const [left, right] = [Array.from(a, (c) => c.codePointAt(0)!), Array.from(b, (c) => c.codePointAt(0)!)];
  const at = left.findIndex((code, i) => code !== right[i]);
  if (at === -1) return left.length - right.length;
  return at >= right.length ? 1 : left[at]! - right[at]!;
}

/** What a `for` goes through. */
export function itemsOf(value: Value): readonly Value[] {
  if (value instanceof List) return value.items;
  if (value instanceof Dict) return value.entries().map(([key]) => key);
  if (value instanceof Text) return value.characters();
  if (value instanceof Undefined) return [];
  throw new Error(`a ${typeName(value)} cannot be iterated over`);
}

/** Python's `str()`. */
export function toText(value: Value): Text {
  if (value instanceof Text) return value;
  return value instanceof Undefined ? Text.written('') : represent(value);
}

/** Python's `repr()`. Numbers count as given: they may come from a message. */
export function represent(value: Value): Text {
  spendSteps();
  if (value instanceof Text) return quoted(value);
  if (value === null) return Text.written('None');
  if (typeof value === 'boolean') return Text.written(value ? 'True' : 'False');
  if (typeof value === 'number') return Text.given(String(value));
  if (value instanceof Float) return Text.given(floatText(value.value));
  if (value instanceof List) {
    const items = Text.join(value.items.map(represent), Text.written(', '));
    const [open, close] = value.kind === 'list' ? ['[', ']'] : ['(', value.items.length === 1 ? ',)' : ')'];
    return Text.join([Text.written(open), items, Text.written(close)]);
  }
  if (value instanceof Dict) {
    const pairs = value.entries().map((pair) => Text.join(pair.map(represent), Text.written(': ')));
    return Text.join([Text.written('{'), Text.join(pairs, Text.written(', ')), Text.written('}')]);
  }
  if (value instanceof Undefined) return Text.written('Undefined');
  throw new Error(`a ${typeName(value)} cannot be printed`);
}

function floatText(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e16) return value.toFixed(1);
  const text = String(value);
  // Python writes at least two digits of the exponent, and one from 1e16 on and below 1e-4.
  if (size >= 1e16 && !text.includes('e')) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  if (size < 1e-4 && !text.includes('e')) return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(text: Text): Text {
  const quote = text.string.includes("'") && !text.string.includes('"') ? '"' : "'";
  const hex = (character: string, digits: number) => character.codePointAt(0)!.toString(16).padStart(digits, '0');
  const escaped = text.replaceCharacters(/[\\'"\p{C}\p{Z}]/u, (character) => {
    if (character === ' ' || (character === '"' && quote === "'") || (character === "'" && quote === '"')) {
      return character;
    }
    if (character === quote) return `\\${character}`;
    const code = character.codePointAt(0)!;
    if (code > 0xffff) return `\\U${hex(character, 8)}`;
    return ESCAPES[character] ?? (code > 0xff ? `\\u${hex(character, 4)}` : `\\x${hex(character, 2)}`);
  });
  return Text.join([Text.written(quote), escaped, Text.written(quote)]);
}
