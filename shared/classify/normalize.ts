/**
 * Undoes disguises that cost a writer nothing and would cost the classifier everything, since it
 * knows only the n-grams it was trained on. It makes only changes that leave an honest text as it
 * is. Guesses (leetspeak, ciphers, missing spaces) are separate readings (readings.ts). The same
 * function runs before training.
 */
import { foldConfusables } from './confusables.ts';
import type { DefenceOptions } from './defences.ts';

/**
 * Soft hyphens, zero-width spaces and joiners, direction marks, variation selectors, tag
 * characters, and control characters.
 */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}|(?![\t\n\v\f\r])\p{Cc}|(?<=\p{L})\p{Co}+(?=\p{L})/gu;
/** A braille cell without dots looks like a space. */
const BLANK = /\u2800/g;
/**
 * Marks that no script needs. They strike out, overline or encircle whatever stands before them,
 * even a space. There is no `i` flag: U+0345 and the letter iota are one letter in two cases, so
 * iota would count as a mark.
 */
const LOOSE_MARKS = /(?:[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]|[\u0483-\u0489])+/g;
/** Marks of any script on a Latin letter, a sign or a space. None belongs there. */
const STRANGE_MARKS = /(?<=[\p{Script=Latin}\p{Script=Common}])\p{M}+/gu;
/**
 * Loose marks after a Latin letter or a digit, which remain when an accented letter is taken apart.
 */
const MARKED_LATIN = /([A-Za-z0-9])[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+/g;
/**
 * No script puts more marks than this on a letter. Sorting a long row of marks takes quadratic
 * time.
 */
const MARKS_IN_A_ROW = /(\p{M}{4})\p{M}+/gu;
/**
 * Single characters that stand for Arabic phrases and Japanese words of up to 18 letters. All other
 * characters become four letters at most.
 */
const PHRASES = /[\ufdfa\ufdfb\u3300-\u3357]/g;
/** In an ASCII text, the steps below change nothing but control characters. */
const ASCII_ONLY = /^[\t\n\v\f\r -~]*$/;
/** Tag characters stay for now, since they may hide a message (decode-spans.ts). */
const TAGS = /[\u{e0020}-\u{e007e}]/u;
const CURLY_APOSTROPHES = /[\u2018\u2019\u02bc]/g;
/**
 * Three or more single letters with the same separator between them: "k i l l", "b-o-m-b". Two
 * would catch "e.g.". The ends of words tied by signs ("a-b c d-e") do not count.
 */
const SPACED_LETTERS =
  /(?<![\p{L}\p{N}]|[\p{L}\p{N}][.\-_*])\p{L}([ .\-_*])\p{L}(?:\1\p{L})+(?![\p{L}\p{N}]|[.\-_*][\p{L}\p{N}])/gu;
/**
 * Letters that NFKC leaves alone because they are symbols: negative circled, negative squared,
 * regional indicators.
 */
const SIGN_LETTERS = /[\u{1f150}-\u{1f169}\u{1f170}-\u{1f189}\u{1f1e6}-\u{1f1ff}]/gu;
const FIRST_SIGNS = [0x1f1e6, 0x1f170, 0x1f150] as const;

/**
 * `normalize('Ｋｉ\u200bll a B.O.M.B')` gives `kill a bomb`. Line ends stay, because a long text may
 * be cut there.
 */
export function normalize(text: string, options: DefenceOptions = {}): string {
  const letters = foldLetters(plainLetters(text, options), options);
  const joined = options.without?.includes('spacing')
    ? letters
    : letters.replace(SPACED_LETTERS, (run) => run.replace(/[ .\-_*]/g, ''));
  return collapseSpaces(joined);
}

/** Keeps the lines, but not needless spaces and empty lines. */
export function collapseSpaces(text: string): string {
  return text
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n[ \n]*/g, '\n')
    .trim();
}

/** Turns letters into lower-case Latin ones and leaves spaces as they are. */
export function foldLetters(plain: string, { without = [] }: DefenceOptions = {}): string {
  const lower = without.includes('case') ? plain : plain.toLowerCase();
  const latin = without.includes('confusables') ? lower : foldConfusables(lower);
  return latin.replace(CURLY_APOSTROPHES, "'");
}

/**
 * The part of `normalize` that keeps case and spaces, which decoders need. It leaves one form per
 * letter, no marks on Latin letters, and nothing invisible.
 */
export function plainLetters(text: string, { without = [] }: DefenceOptions = {}): string {
  if (ASCII_ONLY.test(text)) return text;
  const bare = withoutMarks(text, { without }).replace(MARKS_IN_A_ROW, '$1').replace(PHRASES, ' ');
  // NFKD, drop the marks, NFC: NFKC that also drops Latin accents. So "bömb" becomes "bomb" and
  // Hangul stays whole.
  const decomposed = bare.normalize(without.includes('forms') ? 'NFD' : 'NFKD');
  const visible = without.includes('invisible') ? decomposed : decomposed.replace(INVISIBLE, '').replace(BLANK, ' ');
  const unmarked = without.includes('marks') ? visible : visible.replace(MARKED_LATIN, '$1');
  const composed = unmarked.normalize('NFC');
  return without.includes('forms') ? composed : composed.replace(SIGN_LETTERS, signToLetter);
}

/**
 * Removes loose marks everywhere. A "й" written as one character keeps its mark. Written as two, it
 * becomes "и".
 */
function withoutMarks(text: string, { without = [] }: DefenceOptions): string {
  return without.includes('marks') ? text : text.replace(LOOSE_MARKS, '').replace(STRANGE_MARKS, '');
}

/**
 * Removes invisible characters and loose marks from a whole text before it is cut into blocks, so
 * that such filler does not move the cuts. Tag characters stay.
 */
export function withoutUnseen(text: string, { without = [] }: DefenceOptions = {}): string {
  if (ASCII_ONLY.test(text)) return text;
  const bare = withoutMarks(text, { without });
  return without.includes('invisible')
    ? bare
    : bare.replace(INVISIBLE, (sign) => (TAGS.test(sign) ? sign : '')).replace(BLANK, ' ');
}

function signToLetter(sign: string): string {
  const code = sign.codePointAt(0)!;
  const first = FIRST_SIGNS.find((start) => code >= start)!;
  return String.fromCharCode(0x61 + code - first);
}
