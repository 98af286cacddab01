/** `tojson` as Transformers defines it: Python's `json.dumps` without escapes for HTML. */
import { Text } from './text.ts';
import { compare, Dict, Float, List, represent, toText, typeName, type Value } from './values.ts';

export type JsonOptions = {
  indent: number | undefined;
  separators: readonly [item: Text, key: Text] | undefined;
  ensureAscii: boolean;
  sortKeys: boolean;
};

export function toJson(value: Value, options: JsonOptions, depth = 0): Text {
  if (value instanceof Text) return jsonString(value, options);
  if (value === null) return Text.written('null');
  if (typeof value === 'boolean') return Text.written(String(value));
  if (typeof value === 'number' || value instanceof Float) return represent(value);
  const inner = (item: Value) => toJson(item, options, depth + 1);
  if (value instanceof List) return wrap('[', value.items.map(inner), ']', options, depth);
  if (value instanceof Dict) {
    const colon = options.separators?.[1] ?? Text.written(': ');
    const entries = value.entries();
    if (options.sortKeys) entries.sort(([a], [b]) => compare(a, b));
    const pairs = entries.map(([key, item]) =>
      Text.join([jsonString(key instanceof Text ? key : toText(key), options), colon, inner(item)]),
    );
    return wrap('{', pairs, '}', options, depth);
  }
  throw new Error(`a ${typeName(value)} cannot be written as JSON`);
}

function wrap(open: string, parts: Text[], close: string, { indent, separators }: JsonOptions, depth: number): Text {
  const w = Text.written;
  if (parts.length === 0) return w(open + close);
  const line = (level: number) => w(indent === undefined ? '' : `\n${' '.repeat(indent * level)}`);
  const comma = separators?.[0] ?? w(indent === undefined ? ', ' : ',');
  const body = Text.join(parts, Text.join([comma, line(depth + 1)]));
  return Text.join([w(open), line(depth + 1), body, line(depth), w(close)]);
}

function jsonString(text: Text, { ensureAscii }: JsonOptions): Text {
  const hex = (character: string) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join('');
  const escaped = text.replaceCharacters(/["\\\p{Cc}\P{ASCII}]/u, (character) => {
    if (character > '\x7e') return ensureAscii ? hex(character) : character;
    return JSON.stringify(character).slice(1, -1);
  });
  return Text.join([Text.written('"'), escaped, Text.written('"')]);
}
