/** What Python's `str` does otherwise than JavaScript's `String`, on texts with provenance. */
import { Text } from './text.ts';
import { spendSearch } from './work.ts';

/** The characters for which Python's `str.isspace()` is true. JavaScript has others. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LEADING_SPACE = new RegExp(`^[${SPACE}]+`);
const ONLY_SPACE = new RegExp(`^[${SPACE}]+$`);
/** Line ends of `str.splitlines()`. */
const LINE_ENDS = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029';
const LINE_END = new RegExp(`\r\n|[${LINE_ENDS}]`, 'g');

export const isSpace = (text: string) => ONLY_SPACE.test(text);

export type Side = 'both' | 'start' | 'end';

/** `str.strip()`: white space, or any of `characters`. */
export function strip(text: Text, side: Side, characters?: string): Text {
  const { string } = text;
  let [start, end] = [0, string.length];
  if (characters === undefined) {
    if (side !== 'end') start = LEADING_SPACE.exec(string)?.[0].length ?? 0;
    if (side !== 'start') while (end > start && isSpace(string[end - 1]!)) end--;
    return text.slice(start, end);
  }
  const set = new Set(characters);
  const units = Array.from(string);
  let [first, last] = [0, units.length];
  if (side !== 'end') while (first < last && set.has(units[first]!)) start += units[first++]!.length;
  if (side !== 'start') while (last > first && set.has(units[last - 1]!)) end -= units[--last]!.length;
  return text.slice(start, end);
}

/** `str.split()` and `str.rsplit()` at white space, or at `separator`. */
export function split(
  text: Text,
  { separator, limit = -1, fromEnd = false }: { separator?: string; limit?: number; fromEnd?: boolean },
): Text[] {
  if (separator === '') throw new Error('empty separator');
  const most = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (separator === undefined) return splitAtSpace(text, most, fromEnd);
  return fromEnd ? splitFromEnd(text, separator, most) : text.split(separator, most);
}

function splitFromEnd(text: Text, separator: string, most: number): Text[] {
  const out: Text[] = [];
  let end = text.string.length;
  spendSearch(text.string, separator);
  while (out.length < most && end >= separator.length) {
    const found = text.string.lastIndexOf(separator, end - separator.length);
    if (found === -1) break;
    out.push(text.slice(found + separator.length, end));
    end = found;
  }
  return [text.slice(0, end), ...out.reverse()];
}

function splitAtSpace(text: Text, most: number, fromEnd: boolean): Text[] {
  const words = [...text.string.matchAll(new RegExp(`[^${SPACE}]+`, 'g'))].map(({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
  }));
  if (words.length <= most) return words.map(({ start, end }) => text.slice(start, end));
  if (fromEnd) {
    const kept = most === 0 ? [] : words.slice(-most);
    const rest = words[words.length - most - 1]!;
    return [strip(text.slice(0, rest.end), 'end'), ...kept.map(({ start, end }) => text.slice(start, end))];
  }
  const kept = words.slice(0, most).map(({ start, end }) => text.slice(start, end));
  return [...kept, strip(text.slice(words[most]!.start), 'end')];
}

export function splitLines(text: Text, keepEnds = false): Text[] {
  const out: Text[] = [];
  let at = 0;
  for (const { 0: end, index } of text.string.matchAll(LINE_END)) {
    out.push(text.slice(at, index + (keepEnds ? end.length : 0)));
    at = index + end.length;
  }
  return at < text.string.length ? [...out, text.slice(at)] : out;
}

/** `str.replace()`. */
export function replace(text: Text, old: string, by: Text, limit = -1): Text {
  const most = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (old !== '') return Text.join(text.split(old, most), by);
  const characters = text.characters();
  const pieces = characters.flatMap((character, i) => (i < most ? [by, character] : [character]));
  return Text.join(characters.length < most ? [...pieces, by] : pieces);
}

/** `str.capitalize()`: the first letter large, all others small. */
export function capitalize(text: Text): Text {
  const [first, ...rest] = text.characters();
  if (!first) return text;
  return Text.join([first.recase((s) => s.toUpperCase()), Text.join(rest).recase((s) => s.toLowerCase())]);
}

/** `str.title()`: every word with a large first letter. A word is a run of letters. */
export function title(text: Text): Text {
  let inWord = false;
  return Text.join(
    text.characters().map((character) => {
      const isLetter = /\p{L}/u.test(character.string);
      const large = isLetter && !inWord;
      inWord = isLetter;
      return character.recase((s) => (large ? s.toUpperCase() : s.toLowerCase()));
    }),
  );
}

/** The start and end that Python's slice means for a sequence of `length`, and its step. */
export function slicePositions(
  length: number,
  { start, stop, step = 1 }: { start?: number | undefined; stop?: number | undefined; step?: number | undefined },
): number[] {
  if (step === 0) throw new Error('slice step cannot be zero');
  const [least, most] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (at: number | undefined, otherwise: number) =>
    at === undefined ? otherwise : Math.min(most, Math.max(least, at < 0 ? at + length : at));
  const [from, to] = step > 0 ? [clamp(start, 0), clamp(stop, length)] : [clamp(start, most), clamp(stop, -1)];
  const out: number[] = [];
  for (let at = from; step > 0 ? at < to : at > to; at += step) out.push(at);
  return out;
}
