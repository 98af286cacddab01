/**
 * Reads the regular expressions of JSON Schema (ECMA-262 with the flag `u`), as far as they are
 * regular: no references back, no word boundaries, no Unicode properties, and no look-around but
 * looks ahead from the start, which are patterns of their own. As everywhere in JSON Schema, an
 * expression without anchors matches inside of a text.
 */
import { ANY_CHAR, allBut, type CharSet, charSet, charsOf, type Range } from './char-set.ts';
import { GrammarError, quoted } from './grammar-error.ts';
import { chars, choice, NOTHING, type Pattern, repeat, sequence } from './pattern.ts';

const MOST_REPEATS = 1_000;
const MOST_DEPTH = 32;

/** The texts that an expression without looks ahead matches. */
export function parsePattern(source: string): Pattern {
  const [only, ...others] = parsePatterns(source);
  if (others.length > 0) throw unreadable(source, 'a look ahead');
  return only!.pattern;
}

/** A text matches the expression if it matches all of these, and none that is negated. */
export function parsePatterns(source: string): { pattern: Pattern; negated: boolean }[] {
  const reader = new PatternReader(source);
  const ahead = reader.looksAhead();
  const pattern = reader.choice(0);
  if (!reader.isOver) throw unreadable(source, 'an unmatched )');
  // They would hold for the first option alone.
  if (ahead.length > 0 && reader.hasOptions) throw unreadable(source, 'a look ahead beside alternatives');
  return [{ pattern, negated: false }, ...ahead];
}

const unreadable = (source: string, what: string) =>
  new GrammarError(`is ${quoted(source)}, which has ${what}`, { unsupported: true });

const DIGITS = charSet([[0x30, 0x39]]);
const WORD = charSet([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
/** White space and line ends of ECMA-262. */
const SPACE = charSet([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]);
const ANY_BUT_LINE_ENDS = allBut(charsOf('\n\r\u2028\u2029'));
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: allBut(DIGITS),
  w: WORD,
  W: allBut(WORD),
  s: SPACE,
  S: allBut(SPACE),
};
const CONTROLS: Readonly<Record<string, string>> = { t: '\t', n: '\n', v: '\v', f: '\f', r: '\r', 0: '\0' };
const ANYTHING = repeat(chars(ANY_CHAR), 0, null);

class PatternReader {
  readonly #source: string;
  readonly #chars: readonly string[];
  #at = 0;
  /** Whether the anchor at the start has been read. */
  #begun = false;
  /** Whether there are alternatives outside of all groups. */
  hasOptions = false;

  constructor(source: string) {
    this.#source = source;
    this.#chars = [...source];
  }

  get isOver(): boolean {
    return this.#at >= this.#chars.length;
  }

  /** What the looks ahead right after the anchor at the start say about the whole text. */
  looksAhead(): { pattern: Pattern; negated: boolean }[] {
    const found: { pattern: Pattern; negated: boolean }[] = [];
    const isAhead = (at: number) => /^\(\?[=!]$/.test(this.#chars.slice(at, at + 3).join(''));
    if (this.#peek !== '^' || !isAhead(1)) return found;
    this.#at = 1;
    this.#begun = true;
    while (isAhead(this.#at)) {
      const negated = this.#chars[this.#at + 2] === '!';
      this.#at += 3;
      const pattern = this.choice(0, { isAhead: true });
      if (!this.#take(')')) throw this.#error('an unmatched (');
      found.push({ pattern, negated });
    }
    this.hasOptions = false;
    return found;
  }

  /**
   * @param depth how many groups it is in; outside of all, anchors count
   * @param isAhead whether it is looked for at the start of the text, and nowhere else
   */
  choice(depth: number, { isAhead = false }: { isAhead?: boolean } = {}): Pattern {
    if (depth > MOST_DEPTH) throw this.#error('too many groups in each other');
    const options = [this.#option(depth, { isAhead })];
    while (this.#take('|')) options.push(this.#option(depth, { isAhead }));
    if (depth === 0 && options.length > 1) this.hasOptions = true;
    return options.length === 1 ? options[0]! : choice(...options);
  }

  #option(depth: number, { isAhead }: { isAhead: boolean }): Pattern {
    const isOutside = depth === 0;
    const begins = isOutside && (this.#take('^') || isAhead || this.#begun);
    const parts: Pattern[] = [];
    let ends = false;
    while (!this.isOver && this.#peek !== '|' && this.#peek !== ')') {
      if (ends) throw this.#error('something after $');
      if (isOutside && this.#take('$')) ends = true;
      else parts.push(this.#quantified(depth));
    }
    if (!isOutside) return sequence(...parts);
    return sequence(begins ? NOTHING : ANYTHING, ...parts, ends ? NOTHING : ANYTHING);
  }

  #quantified(depth: number): Pattern {
    const part = this.#atom(depth);
    const bounds = this.#quantifier();
    if (bounds === null) return part;
    // Lazy or not, it matches the same texts.
    this.#take('?');
    if (this.#quantifier() !== null) throw this.#error('nothing to repeat');
    return repeat(part, bounds.min, bounds.max);
  }

  #quantifier(): { min: number; max: number | null } | null {
    if (this.#take('*')) return { min: 0, max: null };
    if (this.#take('+')) return { min: 1, max: null };
    if (this.#take('?')) return { min: 0, max: 1 };
    if (this.#peek !== '{') return null;
    const text = this.#chars.slice(this.#at, this.#at + 16).join('');
    const found = /^\{(\d{1,6})(,(\d{0,6}))?\}/.exec(text);
    if (found === null) throw this.#error('a { that is no number of repetitions');
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? null : Number(found[3]);
    if (max !== null && max < min) throw this.#error('repetitions out of order');
    if (Math.max(min, max ?? 0) > MOST_REPEATS) throw this.#error(`more than ${MOST_REPEATS} repetitions`);
    return { min, max };
  }

  #atom(depth: number): Pattern {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group(depth);
      case '[':
        return chars(this.#class());
      case '.':
        return chars(ANY_BUT_LINE_ENDS);
      case '\\':
        return chars(this.#escape({ inClass: false }));
      case '^':
      case '$':
        throw this.#error(`a ${char} inside`);
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        throw this.#error(`a ${char} where nothing can be repeated or closed`);
      default:
        return chars(charsOf(char));
    }
  }

  #group(depth: number): Pattern {
    if (this.#take('?')) {
      const rest = this.#chars.slice(this.#at, this.#at + 2).join('');
      if (rest[0] === ':') this.#at++;
      else if (rest[0] === '<' && rest[1] !== '=' && rest[1] !== '!') {
        while (this.#next() !== '>');
      } else throw this.#error('a look ahead or behind');
    }
    const pattern = this.choice(depth + 1);
    if (!this.#take(')')) throw this.#error('an unmatched (');
    return pattern;
  }

  #class(): CharSet {
    const isNegated = this.#take('^');
    const ranges: Range[] = [];
    while (!this.#take(']')) {
      const from = this.#member();
      if (this.#peek !== '-' || this.#chars[this.#at + 1] === ']') {
        ranges.push(...from);
        continue;
      }
      this.#next();
      const to = this.#member();
      const [least, most] = [single(from), single(to)];
      if (least === null || most === null || least > most) throw this.#error('a range out of order');
      ranges.push([least, most]);
    }
    const set = charSet(ranges);
    return isNegated ? allBut(set) : set;
  }

  #member(): CharSet {
    const char = this.#next();
    return char === '\\' ? this.#escape({ inClass: true }) : charsOf(char);
  }

  #escape({ inClass }: { inClass: boolean }): CharSet {
    const char = this.#next();
    const named = CLASSES[char];
    if (named !== undefined) return named;
    if (char === 'x') return this.#code(2);
    if (char === 'u' && this.#take('{')) {
      let digits = '';
      while (!this.#take('}')) digits += this.#next();
      return this.#codePoint(digits);
    }
    if (char === 'u') return this.#code(4);
    if (char === 'c') {
      const letter = this.#next();
      if (!/[a-z]/i.test(letter)) throw this.#error('an unknown control character');
      return charsOf(String.fromCharCode(letter.charCodeAt(0) % 32));
    }
    const control = CONTROLS[char];
    if (control !== undefined) return charsOf(control);
    if (inClass && char === 'b') return charsOf('\b');
    if (/[\^$\\.*+?()[\]{}|/-]/.test(char)) return charsOf(char);
    throw this.#error(`\\${char}`);
  }

  #code(length: number): CharSet {
    const digits = this.#chars.slice(this.#at, this.#at + length).join('');
    this.#at += length;
    const high = Number.parseInt(digits, 16);
    const pair = /^\\u(d[c-f][\da-f]{2})$/i.exec(this.#chars.slice(this.#at, this.#at + 6).join(''));
    if (length === 4 && high >= 0xd800 && high < 0xdc00 && pair !== null) {
      this.#at += 6;
      return charsOf(String.fromCharCode(high, Number.parseInt(pair[1]!, 16)));
    }
    return this.#codePoint(digits);
  }

  #codePoint(digits: string): CharSet {
    const code = /^[\da-f]{1,6}$/i.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
    if (!(code <= 0x10ffff)) throw this.#error('an unknown code point');
    return charSet([[code, code]]);
  }

  get #peek(): string | undefined {
    return this.#chars[this.#at];
  }

  #take(char: string): boolean {
    if (this.#peek !== char) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#error('no end');
    return char;
  }

  #error(what: string): GrammarError {
    return unreadable(this.#source, what);
  }
}

/** The only member of a set; null if there are more. */
function single(set: CharSet): number | null {
  const [range] = set;
  return set.length === 1 && range![0] === range![1] ? range![0] : null;
}
