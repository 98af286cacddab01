/**
 * The words that a pattern can make an answer say. Not its signs are read but its language: where
 * few characters may stand, each of them is tried. Where many may, the model chooses, and there is
 * a space. A pattern of which that makes too many texts is not read, and said to be unread.
 */
import type { CharSet } from './char-set.ts';
import type { Pattern } from './pattern.ts';

/** More texts, or more characters in all of them, and a pattern is unread. */
const MOST_VARIANTS = 256;
const MOST_CHARACTERS = 8_000;
/** Work in all, because a pattern may nest its repetitions. */
const MOST_STEPS = 20_000;
/** Of this many letters, nobody chooses the word but the model. */
export const MANY_LETTERS = 9;
/** A set without letters from A to Z: up to the first, each is tried; from the second, none is. */
const FEW_MEMBERS = 8;
const MANY_MEMBERS = 20;
/** How often a part is repeated at most beyond its least number. */
const MOST_MORE = 3;
/** Words of this length stay words if they stand beside each other. */
const LEAST_WORD = 3;

const FREE = ' ';
const LETTER = /\p{L}/u;

/** Every text once, in order; null if they are too many to read. */
export function spelledVariants(pattern: Pattern): string[] | null {
  const fine = new Variants({ digits: true }).of(pattern);
  return fine ?? new Variants({ digits: false }).of(pattern);
}

/** What surely stands in it, each part once: all that is told of a pattern that is unread. */
export function fixedWords(pattern: Pattern): string {
  switch (pattern.kind) {
    case 'chars': {
      const [range] = pattern.set;
      const isOne = pattern.set.length === 1 && range![0] === range![1];
      return isOne ? String.fromCodePoint(range![0]) : FREE;
    }
    case 'sequence':
      return pattern.parts.map(fixedWords).join('');
    case 'choice':
      return pattern.options.map(fixedWords).join(FREE);
    case 'repeat':
      return pattern.max === 0 ? '' : fixedWords(pattern.part);
    default:
      return pattern satisfies never;
  }
}

class Variants {
  /** Whether digits and signs are told apart, and whether what may be left out is. */
  readonly #digits: boolean;
  #steps = 0;

  constructor({ digits }: { digits: boolean }) {
    this.#digits = digits;
  }

  of(pattern: Pattern): string[] | null {
    if (++this.#steps > MOST_STEPS) return null;
    switch (pattern.kind) {
      case 'chars':
        return this.#members(pattern.set);
      case 'sequence':
        return this.#sequence(pattern.parts);
      case 'choice': {
        const options: string[] = [];
        for (const option of pattern.options) {
          const of = this.of(option);
          if (of === null) return null;
          options.push(...of);
        }
        return this.#bounded(options);
      }
      case 'repeat':
        return this.#repeat(pattern);
      default:
        return pattern satisfies never;
    }
  }

  #sequence(parts: readonly Pattern[]): string[] | null {
    let all: string[] | null = [''];
    for (const part of parts) {
      const next = this.of(part);
      all = next && this.#product(all, next);
      if (all === null) return null;
    }
    return all;
  }

  #repeat({ part, min, max }: Extract<Pattern, { kind: 'repeat' }>): string[] | null {
    if (max === 0) return [''];
    const one = this.of(part);
    if (one === null) return null;
    if (one.every((text) => text.trim() === '')) return min > 0 ? one : max === 1 ? ['', FREE] : [FREE];
    const worded = one.filter((text) => LETTER.test(text));
    const most = max !== null && max <= min + MOST_MORE ? max : min + MOST_MORE;
    const isCut = max === null || most < max;
    // Letters, one by one, can make any word of any length.
    if (isCut && worded.length > 1 && worded.some((text) => text.trim().length < LEAST_WORD)) return null;
    let at: string[] | null = [''];
    for (let i = 0; i < min && at !== null; i++) at = this.#product(at, one);
    const all: string[] = [];
    const isSimple = worded.length === 0 && !this.#digits;
    for (let i = min; at !== null; i++) {
      all.push(...at);
      if (i >= most || (isCut && worded.length > 1 && i > min) || (isSimple && i >= Math.max(1, min))) break;
      at = this.#product(at, one);
    }
    return at && this.#bounded(all);
  }

  #product(all: readonly string[], next: readonly string[]): string[] | null {
    if (all.length * next.length > MOST_VARIANTS * FEW_MEMBERS) return null;
    this.#steps += all.length * next.length;
    return this.#bounded(all.flatMap((text) => next.map((more) => `${text}${more}`.replaceAll(/ +/g, FREE))));
  }

  #bounded(texts: readonly string[]): string[] | null {
    let different = [...new Set(texts)];
    if (!this.#digits) {
      const worded = different.filter((text) => LETTER.test(text));
      const [first] = different.filter((text) => !LETTER.test(text));
      different = first === undefined ? worded : [...worded, first];
    }
    let characters = 0;
    for (const text of different) characters += text.length;
    return different.length > MOST_VARIANTS || characters > MOST_CHARACTERS || this.#steps > MOST_STEPS
      ? null
      : different;
  }

  #members(set: CharSet): string[] | null {
    const size = set.reduce((sum, [from, to]) => sum + to - from + 1, 0);
    const letters = lettersOf(set);
    if (letters.length >= MANY_LETTERS) return [FREE];
    const others = size - letters.length;
    if (letters.length > 0) {
      // Numbers to the base of 16.
      const isHex = letters.every((letter) => letter <= 'f') && letters.length === 6 && others >= 10;
      if (isHex) return [FREE];
      return size <= FEW_MEMBERS ? this.#bounded([...letters, ...othersOf(set)]) : [...letters, FREE];
    }
    if (size <= FEW_MEMBERS) return this.#bounded(othersOf(set));
    if (size >= MANY_MEMBERS) return [FREE];
    const members = othersOf(set);
    return members.some((char) => LETTER.test(char)) ? null : [FREE];
  }
}

/** From A to Z, in lower case. */
export function lettersOf(set: CharSet): string[] {
  const found = new Set<string>();
  for (const [from, to] of set) {
    for (let code = Math.max(from, 0x41); code <= Math.min(to, 0x7a); code++) {
      const char = String.fromCharCode(code).toLowerCase();
      if (/[a-z]/.test(char)) found.add(char);
    }
  }
  return [...found].sort();
}

/** All but the letters from A to Z. Only for small sets. */
const othersOf = (set: CharSet): string[] =>
  set.flatMap(([from, to]) =>
    Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i)).filter(
      (char) => !/[a-z]/i.test(char),
    ),
  );
