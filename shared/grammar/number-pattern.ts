/**
 * Numbers as texts. An integer is its digits, a number is what `JSON.stringify` writes. How many
 * digits there are has a bound, so that a model cannot write them without end, and so that no
 * number is read as Infinity. Numbers between bounds are written without an exponent.
 */
import { charSet } from './char-set.ts';
import { chars, choice, literal, NOTHING, type Pattern, repeat, sequence } from './pattern.ts';

/** `JSON.stringify` writes larger numbers with an exponent. */
const MOST_DIGITS = 21;
const MOST_FRACTION = 25;
/** No number without an exponent is larger, so no bound needs to be. */
const MOST_BOUND = 1e21;

const digitsFrom = (least: number, most: number) => chars(charSet([[0x30 + least, 0x30 + most]]));
const DIGIT = digitsFrom(0, 9);
const NONZERO = digitsFrom(1, 9);
const WHOLE = choice(literal('0'), sequence(NONZERO, repeat(DIGIT, 0, MOST_DIGITS - 1)));

/** Below 1e308, and down to where numbers become 0. */
const EXPONENT = choice(
  sequence(literal('+'), wholeNumbers('0', '307')!),
  sequence(literal('-'), wholeNumbers('1', '324')!),
);

/** Any number, with an exponent or without. */
const ANY_NUMBER: Pattern = sequence(
  choice(NOTHING, literal('-')),
  choice(
    sequence(WHOLE, choice(NOTHING, sequence(literal('.'), repeat(DIGIT, 1, MOST_FRACTION)))),
    sequence(DIGIT, choice(NOTHING, sequence(literal('.'), repeat(DIGIT, 1, 17))), literal('e'), EXPONENT),
  ),
);

/** Bounds of a number; null: none. */
export type Bounds = { least: number | null; most: number | null; leastExcluded: boolean; mostExcluded: boolean };

/** The whole numbers within the bounds; null if there are none. */
export function integerPattern({ least, most, leastExcluded, mostExcluded }: Bounds): Pattern | null {
  const low = least === null ? null : leastExcluded ? Math.floor(least) + 1 : Math.ceil(least);
  const high = most === null ? null : mostExcluded ? Math.ceil(most) - 1 : Math.floor(most);
  if (low === Infinity || high === -Infinity) return null;
  const options: Pattern[] = [];
  if (low === null || low < 0) {
    // The negative ones: from the one closest to 0 on.
    const nearest = high === null || high >= 0 ? 1 : -high;
    const digits = wholeNumbers(digitsOf(nearest), low === null ? null : digitsOf(-low));
    if (digits !== null) options.push(sequence(literal('-'), digits));
  }
  if (high === null || high >= 0) {
    const digits = wholeNumbers(digitsOf(Math.max(0, low ?? 0)), high === null ? null : digitsOf(high));
    if (digits !== null) options.push(digits);
  }
  return options.length === 0 ? null : choice(...options);
}

/** All digits, never an exponent. */
const digitsOf = (whole: number): string => BigInt(whole).toString();

/** The digits of the whole numbers from `least` to `most` (null: up to `MOST_DIGITS` digits). */
function wholeNumbers(least: string, most: string | null): Pattern | null {
  const last = most === null || most.length > MOST_DIGITS ? '9'.repeat(MOST_DIGITS) : most;
  if (least.length > last.length || (least.length === last.length && least > last)) return null;
  const options: Pattern[] = [];
  for (let length = least.length; length <= last.length; length++) {
    const from = length === least.length ? least : `1${'0'.repeat(length - 1)}`;
    const to = length === last.length ? last : '9'.repeat(length);
    options.push(between(from, to));
  }
  return choice(...options);
}

/** Digits from `from` to `to`, of the same length. */
function between(from: string, to: string): Pattern {
  if (/^0*$/.test(from) && /^9*$/.test(to)) return repeat(DIGIT, from.length, from.length);
  const [low, high] = [Number(from[0]), Number(to[0])];
  const rest = from.length - 1;
  if (low === high) return sequence(literal(from[0]!), between(from.slice(1), to.slice(1)));
  const options = [
    sequence(digitsFrom(low, low), between(from.slice(1), '9'.repeat(rest))),
    sequence(digitsFrom(high, high), between('0'.repeat(rest), to.slice(1))),
  ];
  if (high - low > 1) options.push(sequence(digitsFrom(low + 1, high - 1), repeat(DIGIT, rest, rest)));
  return choice(...options);
}

/** Patterns that a number must match, all of them, to be within the bounds. */
export function numberPatterns(bounds: Bounds): Pattern[] {
  const { leastExcluded, mostExcluded } = bounds;
  if (bounds.least === null && bounds.most === null) return [ANY_NUMBER];
  if ((bounds.least ?? 0) > MOST_BOUND || (bounds.most ?? 0) < -MOST_BOUND) return [choice()];
  const least = bounds.least === null ? null : Math.max(bounds.least, -MOST_BOUND);
  const most = bounds.most === null ? null : Math.min(bounds.most, MOST_BOUND);
  // With more digits than a double holds, a decimal beside an excluded bound would be read as it.
  const fraction = Math.max(...[least, most].filter((bound) => bound !== null).map(fractionDigits));
  const size: Size = { fraction, any: decimals(WHOLE, repeat(DIGIT, 1, fraction), true) };
  return [
    ...(least === null ? [] : [numbersFrom({ value: least, excluded: leastExcluded }, size)]),
    ...(most === null ? [] : [numbersTo({ value: most, excluded: mostExcluded }, size)]),
  ];
}

type Bound = { value: number; excluded: boolean };
/** How many digits there may be after the point; and any number of at least 0 with that many. */
type Size = { fraction: number; any: Pattern };

function fractionDigits(bound: number): number {
  const { whole, fraction } = decimalOf(Math.abs(bound));
  return Math.max(1, 15 - whole.length, fraction.length);
}

const negative = (pattern: Pattern): Pattern => sequence(literal('-'), pattern);

function numbersFrom({ value, excluded }: Bound, size: Size): Pattern {
  if (value >= 0) return sizesFrom({ value, excluded }, size);
  return choice(size.any, negative(sizesTo({ value: -value, excluded }, size)));
}

function numbersTo({ value, excluded }: Bound, size: Size): Pattern {
  if (value < 0 || (value === 0 && excluded)) return negative(sizesFrom({ value: Math.abs(value), excluded }, size));
  return choice(negative(size.any), sizesTo({ value, excluded }, size));
}

/** Decimals of at least this value, which is not negative. */
function sizesFrom({ value, excluded }: Bound, { fraction: most }: Size): Pattern {
  const { whole, fraction } = decimalOf(value);
  const above = wholeNumbers((BigInt(whole) + 1n).toString(), null);
  return choices(
    decimals(literal(whole), fractionsFrom(fraction, { excluded, most }), fraction === '' && !excluded),
    above && decimals(above, repeat(DIGIT, 1, most), true),
  );
}

/** Decimals of at most this value, which is not negative. */
function sizesTo({ value, excluded }: Bound, { fraction: most }: Size): Pattern {
  const { whole, fraction } = decimalOf(value);
  const below = whole === '0' ? null : wholeNumbers('0', (BigInt(whole) - 1n).toString());
  return choices(
    decimals(literal(whole), fractionsTo(fraction, { excluded, most }), fraction !== '' || !excluded),
    below && decimals(below, repeat(DIGIT, 1, most), true),
  );
}

/** @param bare whether it may be without a fraction, too */
function decimals(whole: Pattern, fraction: Pattern | null, bare: boolean): Pattern {
  return choices(bare ? whole : null, fraction && sequence(whole, literal('.'), fraction));
}

/** No option at all matches no text. */
const choices = (...options: readonly (Pattern | null)[]): Pattern =>
  choice(...options.filter((option) => option !== null));

/** A number of at least 0 as digits before and after the point, without zeros at the end. */
function decimalOf(value: number): { whole: string; fraction: string } {
  const [mantissa, exponent = '0'] = String(value).split('e') as [string, string?];
  const [before, after = ''] = mantissa.split('.') as [string, string?];
  const shift = Number(exponent);
  const digits = `${before}${after}`;
  const point = before.length + shift;
  const padded = point < 0 ? `${'0'.repeat(-point)}${digits}` : digits.padEnd(point, '0');
  const at = Math.max(0, point);
  return {
    whole: padded.slice(0, at).replace(/^0+(?=.)/, '') || '0',
    fraction: padded.slice(at).replace(/0+$/, ''),
  };
}

/** Digits after the point, one at least, that make at least (or more than) this fraction. */
function fractionsFrom(low: string, { excluded, most }: { excluded: boolean; most: number }): Pattern | null {
  const options: Pattern[] = [];
  for (const [i, digit] of [...low].entries()) {
    if (digit === '9') continue;
    options.push(sequence(literal(low.slice(0, i)), digitsFrom(Number(digit) + 1, 9), upTo(most - i - 1)));
  }
  const rest = most - low.length;
  if (!excluded) {
    if (low !== '') options.push(sequence(literal(low), upTo(rest)));
    else options.push(repeat(DIGIT, 1, most));
  } else {
    // Zeros and then something.
    for (let zeros = 0; zeros < rest; zeros++) {
      options.push(sequence(literal(low + '0'.repeat(zeros)), NONZERO, upTo(rest - zeros - 1)));
    }
  }
  return options.length === 0 ? null : choice(...options);
}

/** The same up to (or below) this fraction. */
function fractionsTo(high: string, { excluded, most }: { excluded: boolean; most: number }): Pattern | null {
  const options: Pattern[] = [];
  for (const [i, digit] of [...high].entries()) {
    // What stops here is less than what goes on.
    if (i > 0) options.push(literal(high.slice(0, i)));
    if (digit !== '0')
      options.push(sequence(literal(high.slice(0, i)), digitsFrom(0, Number(digit) - 1), upTo(most - i - 1)));
  }
  if (!excluded) {
    const zeros = repeat(literal('0'), high === '' ? 1 : 0, Math.max(1, most - high.length));
    options.push(sequence(literal(high), zeros));
  }
  return options.length === 0 ? null : choice(...options);
}

const upTo = (most: number): Pattern => (most <= 0 ? NOTHING : repeat(DIGIT, 0, most));
