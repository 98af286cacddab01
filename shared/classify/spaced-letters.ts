/**
 * "g e t o n m y w i f i", "b.a*k~e", letters on separate lines: turns single letters with gaps
 * between them back into words. The most common gap is the one inside words. Any other gap ends a
 * word. If all gaps are equal, the lexicon says where words end. This is a guess, so it is a
 * separate reading: "a b c" is also a list of three things.
 */
import type { Lexicon } from './lexicon.ts';
import { breakToken } from './word-breaks.ts';

/** "e.g." and "a - b" have two letters. */
const LEAST_LETTERS = 3;
/**
 * Longer gaps end a run. Gaps of spaces alone may be longer than gaps of signs, because spaces cost
 * a writer less.
 */
const MOST_GAP = 6;
const MOST_SPACES = 40;
/**
 * The terms of a formula also have spaces and signs together between them, so more of these gaps
 * must be equal.
 */
const LEAST_MIXED = 4;
const LEAST_EQUAL = 0.5;
const LEAST_EQUAL_MIXED = 0.75;
const LETTER = /[\p{L}\p{N}@$]/u;
/** "r ' s", "r.'.s" */
const APOSTROPHE = /^[^']?'[^']?$/;
const SPACES_ONLY = /^\s+$/;
const SIGNS_ONLY = /^[^\s]{1,2}$/;
/** The part of the gap after a word that a sentence keeps. */
const PUNCTUATION = /[.,!?;:]/g;

type Run = { letters: string[]; gaps: string[]; end: number };

/** Takes and returns lower case, with spaces as they were written. */
export function joinLetters(text: string, lexicon: Lexicon): string {
  let joined = '';
  let from = 0;
  for (let at = 0; at < text.length; ) {
    const end = letterEnd(text, at);
    if (end === 0) {
      at++;
      continue;
    }
    const run = runFrom(text, at);
    const words = run === undefined ? undefined : wordsOf(run, lexicon);
    if (run !== undefined && words !== undefined) {
      joined += text.slice(from, at) + words;
      from = run.end;
    }
    at = run?.end ?? wordEnd(text, at);
  }
  return from === 0 ? text : joined + text.slice(from);
}

/**
 * The run of single letters from `at` on, where a word begins. undefined if the word has more than
 * one letter.
 */
function runFrom(text: string, at: number): Run | undefined {
  const letters: string[] = [];
  const gaps: string[] = [];
  let gapFrom = at;
  let next = at;
  for (;;) {
    const end = letterEnd(text, next);
    if (end === 0 || letterEnd(text, end) !== 0) break;
    if (letters.length > 0) gaps.push(text.slice(gapFrom, next));
    letters.push(text.slice(next, end));
    gapFrom = end;
    next = end;
    while (next < text.length && next - gapFrom <= MOST_SPACES && isSpace(text, next)) next++;
    const most = Math.max(MOST_GAP, next - gapFrom);
    while (next < text.length && next - gapFrom <= most && letterEnd(text, next) === 0) next++;
    if (next === gapFrom || next - gapFrom > Math.min(most, MOST_SPACES)) break;
  }
  return letters.length === 0 ? undefined : { letters, gaps, end: gapFrom };
}

function wordsOf({ letters, gaps }: Run, lexicon: Lexicon): string | undefined {
  if (letters.length < LEAST_LETTERS) return undefined;
  const inside = gapInside(gaps);
  if (inside === undefined) return undefined;
  let text = '';
  let word = letters[0]!;
  const endWord = () => {
    text += word.length < LEAST_LETTERS || lexicon.has(word) ? word : breakToken(word, { lexicon, margin: 0 });
  };
  gaps.forEach((gap, i) => {
    const letter = letters[i + 1]!;
    if (APOSTROPHE.test(gap)) word += `'${letter}`;
    else if (kindOf(gap) === inside) word += letter;
    else {
      endWord();
      text += `${gap.match(PUNCTUATION)?.join('') ?? ''} `;
      word = letter;
    }
  });
  endWord();
  return text;
}

/** The most common kind of gap. undefined if no kind stands out. */
function gapInside(gaps: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  let most = 0;
  let inside = '';
  let told = 0;
  for (const gap of gaps) {
    if (APOSTROPHE.test(gap)) continue;
    told++;
    const kind = kindOf(gap);
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count > most) {
      most = count;
      inside = kind;
    }
  }
  const isMixed = inside !== 'signs' && !SPACES_ONLY.test(inside);
  // Three letters with unequal gaps are hardly a word.
  if (gaps.length === LEAST_LETTERS - 1 && most < told) return undefined;
  if (isMixed && gaps.length < LEAST_MIXED) return undefined;
  return most >= (isMixed ? LEAST_EQUAL_MIXED : LEAST_EQUAL) * told && most > 1 ? inside : undefined;
}

/**
 * All gaps of signs alone are one kind, because the signs may change from gap to gap. Any other gap
 * is a kind of its own.
 */
function kindOf(gap: string): string {
  return SIGNS_ONLY.test(gap) ? 'signs' : gap;
}

/** The end of the letter at `at`, in UTF-16 units. 0 if there is none. */
function letterEnd(text: string, at: number): number {
  const code = text.codePointAt(at);
  if (code === undefined) return 0;
  if (code < 0x80) {
    const isLetter = (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x40 || code === 0x24;
    return isLetter || (code >= 0x41 && code <= 0x5a) ? at + 1 : 0;
  }
  return LETTER.test(String.fromCodePoint(code)) ? at + (code > 0xffff ? 2 : 1) : 0;
}

function isSpace(text: string, at: number): boolean {
  const sign = text[at];
  return sign === ' ' || sign === '\t' || sign === '\n';
}

/** The end of the letters that begin at `at`. */
function wordEnd(text: string, at: number): number {
  let end = at;
  for (let next = letterEnd(text, end); next !== 0; next = letterEnd(text, end)) end = next;
  return end;
}
