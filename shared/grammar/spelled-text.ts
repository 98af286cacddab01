/**
 * What a grammar can make an answer say, whatever the model thinks of it: names of properties,
 * constants, the words in a pattern. The edge classifies it like a prompt, because whoever writes a
 * grammar may write an answer.
 */
import type { Grammar } from './grammar.ts';

/** All of it, in order, as one text. Empty if it spells nothing. */
export function spelledText(grammar: Grammar): string {
  return wordsOf(grammar)
    .filter((word) => word.trim() !== '')
    .join(' ');
}

function wordsOf(grammar: Grammar): string[] {
  switch (grammar.type) {
    case 'json_object':
      return [];
    case 'json_schema':
      return schemaWords(JSON.parse(grammar.schema), 0);
    case 'literal':
      return [grammar.text];
    case 'text':
      return [];
    case 'sequence':
      return grammar.parts.flatMap(wordsOf);
    case 'choice':
      return grammar.options.flatMap(wordsOf);
    case 'triggered':
      return [...grammar.triggers.flatMap(({ begin, body }) => [begin, ...wordsOf(body)]), grammar.between];
    default:
      return grammar satisfies never;
  }
}

/** Keywords whose values are told to answers as they are. */
const VALUES = new Set(['enum', 'const', 'default', 'examples', 'required']);
/** Keywords with schemas by name. The names of definitions are said nowhere. */
const NAMED = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
const MOST_DEPTH = 128;

function schemaWords(schema: unknown, depth: number): string[] {
  if (typeof schema !== 'object' || schema === null || depth > MOST_DEPTH) return [];
  if (Array.isArray(schema)) return schema.flatMap((one) => schemaWords(one, depth + 1));
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (VALUES.has(keyword)) return valueWords(value, depth + 1);
    if (keyword === 'pattern' && typeof value === 'string') return [patternWords(value)];
    if (NAMED.has(keyword) && typeof value === 'object' && value !== null) {
      const says = keyword === 'properties' || keyword === 'patternProperties';
      return Object.entries(value).flatMap(([name, part]) => [
        ...(says ? [keyword === 'properties' ? name : patternWords(name)] : []),
        ...schemaWords(part, depth + 1),
      ]);
    }
    return schemaWords(value, depth + 1);
  });
}

function valueWords(value: unknown, depth: number): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number') return [String(value)];
  if (typeof value !== 'object' || value === null || depth > MOST_DEPTH) return [];
  if (Array.isArray(value)) return value.flatMap((one) => valueWords(one, depth + 1));
  return Object.entries(value).flatMap(([name, one]) => [name, ...valueWords(one, depth + 1)]);
}

/** Code points, kinds of characters, other escapes, and what says only how often and where. */
const SIGNS =
  /\\u\{?([\da-f]{4,6})\}?|\\x([\da-f]{2})|\\([sdwb])|\\(.)|(\|)|\{\d*,?\d*\}|\(\?(?::|<\w+>)|[()[\]^$*+?]/gi;

/** The text of a pattern, without its signs. */
function patternWords(pattern: string): string {
  return pattern.replaceAll(
    SIGNS,
    (_all, long?: string, short?: string, kind?: string, escaped?: string, or?: string) => {
      if (kind !== undefined || or !== undefined) return ' ';
      const code = long ?? short;
      return code === undefined ? (escaped ?? '') : charOf(Number.parseInt(code, 16));
    },
  );
}

const charOf = (code: number): string => (code <= 0x10ffff ? String.fromCodePoint(code) : ' ');
