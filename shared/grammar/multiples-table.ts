import { charSet, charsOf } from './char-set.ts';
import { chars, choice, literal, NOTHING, type Pattern, repeat, sequence } from './pattern.ts';
import type { Table } from './pattern-leaf.ts';

/** Two states before the first digit: at the start, and after a sign. */
const BEFORE = 2;
const [MINUS, POINT, OTHER] = [10, 11, 12];
const COLUMNS = OTHER + 1;

const MOST_MODULUS = 999;
const MOST_PLACES = 6;
/** So many digits every double tells apart. */
const MOST_DIGITS = 15;

/** A number as a whole one and how often it is to be divided by 10; null: with an exponent. */
function decimal(value: number): { digits: number; places: number } | null {
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(String(value)) ?? [];
  return whole === undefined ? null : { digits: Number(whole + fraction), places: fraction.length };
}

/** Whether multiples of this number, which is more than 0, are supported. */
export function isModulus(of: number): boolean {
  const found = decimal(of);
  return found !== null && found.digits <= MOST_MODULUS && found.places <= MOST_PLACES;
}

/**
 * Numbers in digits that can be divided by `of`, which `isModulus` allows. The state is what is
 * left over, and how many places after the point have come.
 */
export function multiplesTable(of: number): Table {
  const { digits: modulus, places } = decimal(of)!;
  const columnOf = new Uint8Array(256).fill(OTHER);
  for (let digit = 0; digit < 10; digit++) columnOf[0x30 + digit] = digit;
  columnOf[0x2d] = MINUS;
  columnOf[0x2e] = POINT;
  // In front of the point, behind it, and behind each digit there.
  const phases = places === 0 ? 1 : places + 2;
  const states = BEFORE + phases * modulus;
  const at = (phase: number, left: number) => BEFORE + phase * modulus + left;
  const table = new Int32Array(states * COLUMNS).fill(-1);
  const accepting = new Uint8Array(states);
  for (const state of [0, 1]) {
    for (let digit = 0; digit < 10; digit++) table[state * COLUMNS + digit] = at(0, digit % modulus);
  }
  table[MINUS] = 1;
  for (let phase = 0; phase < phases; phase++) {
    // The places that are missing are zeros.
    const missing = 10 ** (places - Math.max(0, phase - 1));
    for (let left = 0; left < modulus; left++) {
      const state = at(phase, left);
      accepting[state] = phase !== 1 && (left * missing) % modulus === 0 ? 1 : 0;
      if (phase === 0 && phases > 1) table[state * COLUMNS + POINT] = at(1, left);
      const next = phase === 0 ? 0 : phase + 1;
      if (next >= phases) continue;
      for (let digit = 0; digit < 10; digit++) {
        table[state * COLUMNS + digit] = at(next, (10 * left + digit) % modulus);
      }
    }
  }
  return { columnOf, table, accepting };
}

/** Whether a number that is not too long is a multiple, by its digits. */
export function isMultiple(value: number, of: number): boolean {
  if (Number.isInteger(of)) return value % of === 0;
  const [found, by] = [decimal(Math.abs(value)), decimal(of)!];
  if (found === null || found.places > by.places) return false;
  const digits = found.digits * 10 ** (by.places - found.places);
  return Number.isSafeInteger(digits) && digits % by.digits === 0;
}

const DIGIT = chars(charSet([[0x30, 0x39]]));

/** How multiples of these numbers are written: no digits beyond those that a double tells apart. */
export function multiplesPattern(multiplesOf: readonly number[]): Pattern {
  const places = Math.max(...multiplesOf.map((of) => decimal(of)!.places));
  const whole = choice(
    literal('0'),
    sequence(chars(charSet([[0x31, 0x39]])), repeat(DIGIT, 0, MOST_DIGITS - places - 1)),
  );
  const fraction = sequence(chars(charsOf('.')), repeat(DIGIT, 1, Math.max(1, places)));
  return sequence(choice(NOTHING, literal('-')), whole, places === 0 ? NOTHING : choice(NOTHING, fraction));
}
