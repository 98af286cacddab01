/**
 * What a schema can make a string say. One pattern is read by itself. Two things that hold for one
 * string can say together what neither does alone, so unless it is clear that they do not, it is
 * unread.
 */
import type { CharSet } from './char-set.ts';
import type { Conjunction } from './conjunction.ts';
import { lengthsOf, type Pattern } from './pattern.ts';
import { fixedWords, lettersOf, MANY_LETTERS, spelledVariants } from './spelled-pattern.ts';

/** So few characters that a schema has room to exclude all texts of them but one. */
const SHORT = 4;
/** Of a format: so few characters that whoever cuts it to them wants no value of that format. */
const SHORT_FORMAT = 8;

/** Its texts, each a word or some; and whether it can say more than them. */
export function spelledString(
  { patterns, max }: Conjunction['string'],
  excluded: Conjunction['excluded'],
): { text: readonly string[]; isUnread: boolean } {
  const different = [...new Map(patterns.map((one) => [one.name, one])).values()];
  const isFormat = ({ name }: { name: string }) => name.startsWith('format ');
  const written = different.filter((one) => !isFormat(one));
  const formats = different.filter(isFormat).map(({ pattern }) => pattern);
  const read = written.filter(({ negated = false }) => !negated).map(({ pattern }) => pattern);
  const isNegated = read.length < written.length;
  const isExcluded = excluded.some((value) => typeof value === 'string');
  const isCut = formats.some((pattern) => max <= SHORT_FORMAT && max < lengthsOf(pattern).most);
  const text = read.map((pattern) => ({ pattern, variants: spelledVariants(pattern) }));
  const isUnread =
    isNegated ||
    isCut ||
    written.length > 1 ||
    formats.length > 1 ||
    (isExcluded && (different.length > 0 || max <= SHORT)) ||
    formats.some((format) => read.some((pattern) => !isWithin(pattern, format))) ||
    text.some(({ variants }) => variants === null);
  // The formats of JSON Schema spell no words.
  return { text: text.flatMap(({ pattern, variants }) => variants ?? [fixedWords(pattern)]), isUnread };
}

/**
 * Whether a format takes no letter from a pattern that is read as free: as libraries write the
 * patterns of times and UUIDs beside their formats. It does not where a format has few letters, and
 * the pattern has no others.
 */
function isWithin(pattern: Pattern, format: Pattern): boolean {
  const all = setsOf(format).flat();
  const isIn = (code: number) => all.some(([from, to]) => from <= code && code <= to);
  return (
    lettersOf(all).length < MANY_LETTERS &&
    setsOf(pattern).every((set) =>
      set.every(([from, to]) => {
        for (let code = from; code <= to; code++) if (!isIn(code)) return false;
        return true;
      }),
    )
  );
}

function setsOf(pattern: Pattern): CharSet[] {
  switch (pattern.kind) {
    case 'chars':
      return [pattern.set];
    case 'sequence':
      return pattern.parts.flatMap(setsOf);
    case 'choice':
      return pattern.options.flatMap(setsOf);
    case 'repeat':
      return setsOf(pattern.part);
    default:
      return pattern satisfies never;
  }
}
