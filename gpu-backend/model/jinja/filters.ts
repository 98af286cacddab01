/** The filters of Jinja, as far as chat templates use them. */
import { argument, flagArgument, NO_ARGUMENTS, neededText, numberArgument, textArgument } from './arguments.ts';
import { passes } from './is-tests.ts';
import { capitalize, replace, splitLines, strip } from './python-string.ts';
import { Text } from './text.ts';
import { toJson } from './to-json.ts';
import {
  type Arguments,
  compare,
  Dict,
  equal,
  Float,
  isTrue,
  itemsOf,
  List,
  Namespace,
  numberOf,
  toText,
  typeName,
  Undefined,
  type Value,
} from './values.ts';
import { spendCharacters } from './work.ts';

type Filter = (value: Value, args: Arguments) => Value;

const onText =
  (change: (text: Text, args: Arguments) => Value): Filter =>
  (value, args) =>
    change(toText(value), args);

/** The field at a path such as `function.name`, or the filter's `default`. */
function fieldOf(item: Value, path: Value, otherwise: Value = new Undefined('')): Value {
  const steps = typeof path === 'number' ? [path] : toText(path).split('.');
  let value: Value = item;
  for (const step of steps) value = child(value, step);
  return value instanceof Undefined ? otherwise : value;
}

function child(value: Value, step: Value): Value {
  if (value instanceof Dict) return value.get(step) ?? new Undefined(toText(step).string);
  if (value instanceof Namespace) return value.fields.get(toText(step).string) ?? new Undefined(toText(step).string);
  const place = Number(toText(step).string);
  return (value instanceof List && value.items.at(place)) || new Undefined(toText(step).string);
}

/** What `map`, `select` and their kin go through. Jinja lets them pass over none. */
const itemsOrNone = (value: Value) => (isTrue(value) ? itemsOf(value) : []);

/** `select`, `reject` and, with `by`, `selectattr` and `rejectattr`. */
const selecting =
  (keep: boolean, by: boolean): Filter =>
  (value, args) => {
    const [path, ...rest] = by ? args.positional : [null, ...args.positional];
    const [test, other] = rest;
    return new List(
      itemsOrNone(value).filter((item) => {
        const subject = by ? fieldOf(item, path!) : item;
        return (test === undefined ? isTrue(subject) : passes(toText(test).string, subject, other)) === keep;
      }),
    );
  };

/** What `sort`, `unique`, `min` and `max` compare, without regard to case unless told otherwise. */
function sortKey(item: Value, args: Arguments, attributePlace: number, caseSensitive: boolean): Value {
  const path = argument(args, attributePlace, 'attribute') ?? null;
  const key = path === null ? item : fieldOf(item, path);
  return key instanceof Text && !caseSensitive ? key.recase((s) => s.toLowerCase()) : key;
}

const sorted: Filter = (value, args) => {
  const caseSensitive = flagArgument(args, 1, 'case_sensitive');
  const sign = flagArgument(args, 0, 'reverse') ? -1 : 1;
  const key = (item: Value) => sortKey(item, args, 2, caseSensitive);
  return new List([...itemsOf(value)].sort((a, b) => sign * compare(key(a), key(b))));
};

const extreme =
  (sign: 1 | -1): Filter =>
  (value, args) => {
    const key = (item: Value) => sortKey(item, args, 1, flagArgument(args, 0, 'case_sensitive'));
    const [first, ...rest] = itemsOf(value);
    if (first === undefined) return new Undefined('');
    return rest.reduce((best, item) => (sign * compare(key(item), key(best)) > 0 ? item : best), first);
  };

const indent = onText((text, args) => {
  const width = argument(args, 0, 'width') ?? 4;
  const margin = width instanceof Text ? width : Text.written(' '.repeat(numberOf(width) ?? 4));
  const [first, blank] = [flagArgument(args, 1, 'first'), flagArgument(args, 2, 'blank')];
  const newline = Text.written('\n');
  // Jinja adds a line end, so that a text which ends in one keeps it.
  const lines = splitLines(Text.join([text, newline]));
  const moved = lines.map((line, i) => (i > 0 && (blank || line.string !== '') ? Text.join([margin, line]) : line));
  const joined = Text.join(moved, newline);
  return first ? Text.join([margin, joined]) : joined;
});

const length: Filter = (value) => {
  if (value instanceof Text) return value.characters().length;
  if (value instanceof Dict) return value.size;
  return itemsOf(value).length;
};

/** Jinja's own: a large letter at the start of each word, where `-`, brackets and space end one. */
const title = onText((text) => {
  let start = true;
  return Text.join(
    text.characters().map((character) => {
      const ends = /[-\s({[<]/.test(character.string);
      const recased = character.recase((s) => (start ? s.toUpperCase() : s.toLowerCase()));
      start = ends;
      return ends ? character : recased;
    }),
  );
});

const toInteger: Filter = (value, args) => {
  const number = numberOf(value) ?? (value instanceof Text ? numberIn(value.string) : undefined);
  return number === undefined ? (argument(args, 0, 'default') ?? 0) : Math.trunc(number);
};
const toFloat: Filter = (value, args) => {
  const number = numberOf(value) ?? (value instanceof Text ? numberIn(value.string) : undefined);
  return number === undefined ? (argument(args, 0, 'default') ?? new Float(0)) : new Float(number);
};
function numberIn(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : undefined;
}

const withDefault: Filter = (value, args) => {
  const missing = value instanceof Undefined || (flagArgument(args, 1, 'boolean') && !isTrue(value));
  return missing ? (argument(args, 0, 'default_value') ?? Text.written('')) : value;
};

const join: Filter = (value, args) => {
  const path = argument(args, 1, 'attribute');
  const parts = itemsOf(value).map((item) => toText(path === undefined ? item : fieldOf(item, path)));
  return Text.join(parts, toText(argument(args, 0, 'd') ?? Text.written('')));
};

const map: Filter = (value, args) => {
  const path = args.named.get('attribute');
  if (path !== undefined) {
    return new List(itemsOrNone(value).map((item) => fieldOf(item, path, args.named.get('default'))));
  }
  const { string } = neededText(args, 0, 'filter');
  const rest = { positional: args.positional.slice(1), named: args.named };
  return new List(itemsOrNone(value).map((item) => applyFilter(string, item, rest)));
};

const json: Filter = (value, args) => {
  const separators = argument(args, 2, 'separators');
  const pair = separators instanceof List ? separators.items.map(toText) : [];
  return toJson(value, {
    ensureAscii: flagArgument(args, 0, 'ensure_ascii'),
    indent: numberArgument(args, 1, 'indent'),
    separators: pair.length === 2 ? [pair[0]!, pair[1]!] : undefined,
    sortKeys: flagArgument(args, 3, 'sort_keys'),
  });
};

const dictsort: Filter = (value, args) => {
  if (!(value instanceof Dict)) throw new Error(`dictsort: found a ${typeName(value)}, wanted a dict`);
  const place = textArgument(args, 1, 'by')?.string === 'value' ? 1 : 0;
  const sign = flagArgument(args, 2, 'reverse') ? -1 : 1;
  const key = (pair: readonly [Value, Value]) =>
    sortKey(pair[place], NO_ARGUMENTS, 0, flagArgument(args, 0, 'case_sensitive'));
  const pairs = value.entries().sort((a, b) => sign * compare(key(a), key(b)));
  return new List(pairs.map((pair) => new List(pair, 'tuple')));
};

const unique: Filter = (value, args) => {
  const key = (item: Value) => sortKey(item, args, 1, flagArgument(args, 0, 'case_sensitive'));
  const items = itemsOf(value);
  return new List(items.filter((item, i) => !items.slice(0, i).some((earlier) => equal(key(earlier), key(item)))));
};

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };
const escapeHtml = onText((text) => text.replaceCharacters(/[&<>"']/, (character) => HTML[character]!));

const round: Filter = (value, args) => {
  const scale = 10 ** (numberArgument(args, 0, 'precision') ?? 0);
  const scaled = (numberOf(value) ?? 0) * scale;
  const method = textArgument(args, 1, 'method')?.string ?? 'common';
  // Python rounds a half to the even neighbour.
  const half = scaled - Math.floor(scaled) === 0.5;
  const common = half ? 2 * Math.round(scaled / 2) : Math.round(scaled);
  return new Float((method === 'ceil' ? Math.ceil(scaled) : method === 'floor' ? Math.floor(scaled) : common) / scale);
};

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => (value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(numberOf(value) ?? Number.NaN)),
  bool: isTrue,
  capitalize: onText(capitalize),
  count: length,
  d: withDefault,
  default: withDefault,
  dictsort,
  e: escapeHtml,
  escape: escapeHtml,
  first: (value) => itemsOf(value)[0] ?? new Undefined('first'),
  float: toFloat,
  indent,
  int: toInteger,
  items: (value) => new List((value instanceof Dict ? value.entries() : []).map((pair) => new List(pair, 'tuple'))),
  join,
  last: (value) => itemsOf(value).at(-1) ?? new Undefined('last'),
  length,
  list: (value) => new List(itemsOf(value)),
  lower: onText((text) => text.recase((s) => s.toLowerCase())),
  map,
  max: extreme(1),
  min: extreme(-1),
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  replace: onText((text, args) =>
    replace(text, neededText(args, 0, 'old').string, neededText(args, 1, 'new'), numberArgument(args, 2, 'count')),
  ),
  reverse: (value) =>
    value instanceof Text ? Text.join(value.characters().reverse()) : new List([...itemsOf(value)].reverse()),
  round,
  safe: (value) => value,
  select: selecting(true, false),
  selectattr: selecting(true, true),
  sort: sorted,
  string: toText,
  title,
  tojson: json,
  trim: onText((text, args) => strip(text, 'both', textArgument(args, 0, 'chars')?.string)),
  unique,
  upper: onText((text) => text.recase((s) => s.toUpperCase())),
};

export function applyFilter(name: string, value: Value, args: Arguments): Value {
  if (!Object.hasOwn(FILTERS, name)) throw new Error(`unknown filter: ${name}`);
  if (value instanceof Text) spendCharacters(value.string.length);
  return FILTERS[name]!(value, args);
}
