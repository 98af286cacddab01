/**
 * Sets of characters (Unicode scalar values), and how their members are written in bytes: as UTF-8,
 * and inside of JSON strings with the escapes that `JSON.stringify` writes. So each text has
 * exactly one spelling.
 */

/** From the first to the last code point, both included. */
export type Range = readonly [number, number];
/** In order, and apart from each other. Without surrogates, which no UTF-8 has. */
export type CharSet = readonly Range[];

const SCALARS: CharSet = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];
export const ANY_CHAR = SCALARS;

export function charSet(ranges: readonly Range[]): CharSet {
  const sorted = ranges.filter(([from, to]) => from <= to).toSorted((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined.flatMap(([from, to]) =>
    SCALARS.flatMap(([least, most]): Range[] => {
      const range: Range = [Math.max(from, least), Math.min(to, most)];
      return range[0] <= range[1] ? [range] : [];
    }),
  );
}

export function allBut(set: CharSet): CharSet {
  const rest: Range[] = [];
  let next = 0;
  for (const [from, to] of set) {
    rest.push([next, from - 1]);
    next = to + 1;
  }
  rest.push([next, 0x10ffff]);
  return charSet(rest);
}

export const charsOf = (text: string): CharSet =>
  charSet([...text].map((char): Range => [char.codePointAt(0)!, char.codePointAt(0)!]));

/** One way to write members of a set: at each place, from which to which byte. */
type ByteRanges = readonly Range[];

/** All ways to write the members of a set as UTF-8. */
export const utf8Of = (set: CharSet): ByteRanges[] => set.flatMap(([from, to]) => utf8Ranges(from, to));

/** All ways to write the members of a set inside of a JSON string. */
export function jsonOf(set: CharSet): ByteRanges[] {
  const ways: ByteRanges[] = [];
  const plain: Range[] = [];
  for (const [from, to] of set) {
    let next = from;
    for (const code of ESCAPED) {
      if (code < next || code > to) continue;
      plain.push([next, code - 1]);
      ways.push([...new TextEncoder().encode(JSON.stringify(String.fromCharCode(code)).slice(1, -1))].map(only));
      next = code + 1;
    }
    plain.push([next, to]);
  }
  return [...ways, ...utf8Of(charSet(plain))];
}

/** What JSON.stringify escapes, in order. */
const ESCAPED = [...Array(0x20).keys(), 0x22, 0x5c];
const only = (byte: number): Range => [byte, byte];

/** The last code points of one, two and three bytes. */
const LAST_OF_LENGTH = [0x7f, 0x7ff, 0xffff];

/**
 * Splits a range until the bytes of each part can be chosen one by one (the method is that of
 * Rust's utf8-ranges, after Ken Thompson).
 */
function utf8Ranges(from: number, to: number): ByteRanges[] {
  const split = (last: number) => [...utf8Ranges(from, last), ...utf8Ranges(last + 1, to)];
  for (const last of LAST_OF_LENGTH) if (from <= last && last < to) return split(last);
  if (to <= 0x7f) return [[[from, to]]];
  for (const bits of [6, 12, 18]) {
    const low = (1 << bits) - 1;
    if ((from & ~low) === (to & ~low)) continue;
    if ((from & low) !== 0) return split(from | low);
    if ((to & low) !== low) return split((to & ~low) - 1);
  }
  const first = new TextEncoder().encode(String.fromCodePoint(from));
  const last = new TextEncoder().encode(String.fromCodePoint(to));
  return [[...first].map((byte, i): Range => [byte, last[i]!])];
}
