/**
 * How likely it is that part of a text is in a language the classifier does not know. Its weights
 * come from English, so its result for anything else is a guess, and a policy should know that.
 * Words are evidence for or against English. Words of the list speak for it. Letters and words of
 * other languages, and unknown words, speak against it. Capitals, signs and digits in a word change
 * little: a name or an identifier is excused only among English words. Evidence adds up, and the
 * stretch of words with the largest sum counts, so a frame of English around it changes nothing.
 * Codes that could not be decoded are evidence too (unread-codes.ts).
 */
import { sigmoid } from './combine-scores.ts';
import { isCompound, isEnglish, isJargon, isScience } from './english-words.ts';
import { FOREIGN_WORDS, SHARED_WORDS } from './function-words.ts';
import type { Lexicon } from './lexicon.ts';
import { type Codes, codesIn } from './unread-codes.ts';

/** The evidence that each kind of word adds. Positive numbers speak against English. */
const EVIDENCE = {
  foreignWord: 1.3,
  foreignLetters: 2.5,
  accented: 1.1,
  /** "café": an accent on a word that English has. */
  loan: 0.5,
  unknown: 0.8,
  /** An unknown word among English words. */
  rare: 0.5,
  /** A word one slip away from an English word, or a scientific word. */
  nearly: 0.3,
  /** An unknown word says less in a list than in a sentence. */
  listed: 0.15,
  english: -0.9,
  shared: -0.1,
};
/**
 * The evidence at which English and another language are equally likely, and how fast the log-odds
 * grow with the evidence.
 */
const EVEN = 2.9;
const SLOPE = 1.5;
/**
 * The largest of many sums is larger by chance. So we require this much more evidence for each
 * e-fold increase in words.
 */
const DOUBT = 0.3;
const FEW_WORDS = 30;
/** Shorter unknown words are units, variables and initials. */
const LEAST_UNKNOWN = 4;
/** Shorter words are one slip away from too many others. */
const LEAST_NEARLY = 6;
/** Anything longer is several words without spaces, of about `LETTERS_OF_WORD` letters each. */
const MOST_LETTERS = 22;
const LETTERS_OF_WORD = 5.5;
const VOWEL = /[aeiouy]/;
/** In a script without spaces, about this many letters make a word. */
const LETTERS_A_WORD = 3;
const MOST_SPACED = 14;
const NO_SPACES =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/**
 * A single Greek letter is usually part of a formula, so it counts little. A sentence has more of
 * them.
 */
const GREEK = /^[\p{Script=Greek}µ]$/u;
const GREEK_LETTER = 0.25;

/**
 * How many words on each side of a name or identifier we look at, and what share of them must be
 * English to excuse it.
 */
const AROUND = 8;
const LEAST_ENGLISH = 0.3;
/** A word that English shares with other languages ("in", "at") counts as half an English word. */
const SHARED_SHARE = 0.5;
/** If more of the words around it are English than this, an unknown word is just a rare one. */
const MOST_ALTERNATING = 0.6;
/** A longer row of names is a sentence in capitals. */
const MOST_NAMES = 4;
/** The items of a list are this short. */
const MOST_ITEM = 3;

/** A run of letters with everything tied to it. This tells identifiers in code from words. */
const TOKEN = /[\p{L}\p{M}\p{N}'’_$@/\\.(=-]+/gu;
const PART = /[\p{L}\p{M}\p{N}'’]+/gu;
/** "WieStiehltMan" is several words, told apart by their capitals. */
const CAMEL = /(?<=\p{Ll})(?=\p{Lu}\p{Ll})/u;
/** A word in small letters, perhaps at the end of a sentence. */
const PLAIN = /^[a-z]+\.*$/;
const SIGN_OR_DIGIT = /[\d_$@/\\.(=]/;
const LETTER = /\p{L}/u;
const LATIN_ONLY = /^[\p{Script=Latin}\p{M}'’]+$/u;
const OTHER_LETTER = /(?!\p{Script=Latin})\p{L}/gu;
const MARK = /\p{M}/gu;
/** Latin letters that are more than an English letter with a mark. */
const OTHER_LATIN = /[ßøæœđłıħŧŋ]/;
/** What stands between the items of a list. */
const BREAK = /[,;|•]|\n[^\S\n]*(?:[-*]|\d+[.)])/;
const LONGEST_BREAK = 12;
/** A sequence of DNA or RNA bases is in no language. */
const BASES = /^[acgtu]+$/;
const LEAST_BASES = 8;
const ASCII_ONLY = /^[!-~]+$/;
/** A digit that stands for a letter within a word. */
const DIGIT_WITHIN = /[013457]\p{L}/u;
const DIGIT = /[013457]/g;
const LETTERS_FOR: Readonly<Record<string, string>> = { '0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't' };

/**
 * How many words we remember the evidence of. It does not depend on the words around them, and most
 * words of a text have been seen before.
 */
const REMEMBERED = 8_192;
const LONGEST_REMEMBERED = 20;
const memories = new WeakMap<Lexicon, Map<string, number>>();

/** What a block says once its codes are undone, and how else that may be read. */
export type Meaning = {
  /**
   * The block with its message in place of each code, and with accents and capitals. undefined if
   * nothing was encoded.
   */
  decoded?: string | undefined;
  /**
   * Each reading is the whole block. If one is mostly English, it counts instead, so that disguised
   * English is not uncertain once the disguise is removed.
   */
  readings: Iterable<string>;
};

/**
 * In [0, 1]. `written` is a block as somebody wrote it. A message counts in place of its code,
 * since decoding involves no guess.
 */
export function uncertaintyOf(written: string, { decoded, readings }: Meaning, lexicon: Lexicon): number {
  const meant = judge(decoded ?? written, lexicon);
  let { worst } = meant;
  for (const reading of readings) {
    // There is hardly anything foreign, so no other reading is needed.
    if (worst < EVEN / 2) break;
    const other = judge(reading, lexicon);
    if (other.english >= MOST_ALTERNATING * other.words) worst = Math.min(worst, other.worst);
  }
  return sigmoid(SLOPE * (worst - EVEN - DOUBT * Math.log(Math.max(1, meant.words / FEW_WORDS))));
}

type Word = {
  evidence: number;
  /**
   * Why the word may be excused: it is a name, or a piece of an identifier. Then it counts only if
   * there is little English around it.
   */
  excuse: 'name' | 'identifier' | undefined;
  /** Whether a comma or the like stands between it and the word before. */
  breaks: boolean;
};

/**
 * The largest sum of evidence of any stretch of words (Kadane's maximum subarray), and how many of
 * the words are English.
 */
function judge(text: string, lexicon: Lexicon): { worst: number; english: number; words: number } {
  const words = wordsOf(text, lexicon);
  const isEnglishWord = ({ evidence }: Word) => evidence <= EVIDENCE.english / 2;
  const before = [0];
  for (const word of words)
    before.push(before.at(-1)! + (isEnglishWord(word) ? 1 : word.evidence < 0 ? SHARED_SHARE : 0));
  let sum = 0;
  let worst = 0;
  let runEnd = 0;
  let run = 0;
  let itemEnd = 0;
  let item = 0;
  words.forEach((word, i) => {
    if (i >= runEnd) {
      runEnd = i + 1;
      if (word.excuse !== undefined) while (words[runEnd]?.excuse !== undefined && !words[runEnd]!.breaks) runEnd++;
      run = runEnd - i;
    }
    if (i >= itemEnd) {
      itemEnd = i + 1;
      while (itemEnd < words.length && !words[itemEnd]!.breaks) itemEnd++;
      item = i === 0 && itemEnd === words.length ? Number.POSITIVE_INFINITY : itemEnd - i;
    }
    let { evidence } = word;
    const from = Math.max(0, i - AROUND);
    const to = Math.min(words.length, i + AROUND + 1);
    const share = (before[to]! - before[from]!) / Math.max(1, to - from - 1);
    const mayBeName = word.excuse === 'identifier' || (word.excuse === 'name' && run <= MOST_NAMES);
    if (evidence > 0 && mayBeName && share >= LEAST_ENGLISH) evidence = 0;
    if (evidence === EVIDENCE.unknown) {
      if (item <= MOST_ITEM) evidence = word.excuse === 'name' ? 0 : EVIDENCE.listed;
      else if (share >= MOST_ALTERNATING || (word.excuse === 'name' && run <= MOST_NAMES)) evidence = EVIDENCE.rare;
    }
    // An English word here and there does not make a foreign sentence English.
    const isAlone =
      evidence < 0 &&
      share <= MOST_ALTERNATING &&
      (words[i - 1]?.evidence ?? 0) > 0.5 &&
      (words[i + 1]?.evidence ?? 0) > 0.5;
    sum = Math.max(0, sum + (isAlone ? evidence / 4 : evidence));
    worst = Math.max(worst, sum);
  });
  return { worst, english: words.filter(isEnglishWord).length, words: words.length };
}

function wordsOf(text: string, lexicon: Lexicon): Word[] {
  const memory = memories.get(lexicon) ?? new Map<string, number>();
  memories.set(lexicon, memory);
  const codes: Codes = codesIn(text, lexicon);
  const words: Word[] = [];
  let end = 0;
  let skipTo = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (index < skipTo) continue;
    const breaks = BREAK.test(text.slice(end, Math.min(index, end + LONGEST_BREAK)));
    const code = codes.get(index);
    if (code !== undefined) {
      words.push({ evidence: code.evidence, excuse: undefined, breaks });
      skipTo = code.end;
      end = code.end;
      continue;
    }
    if (!LETTER.test(token)) continue;
    end = index + token.length;
    // Most tokens are not names and are tied to nothing.
    if (PLAIN.test(token)) {
      const word = token.endsWith('.') ? token.slice(0, token.indexOf('.')) : token;
      words.push({ evidence: remembered(word, { lexicon, memory }), excuse: undefined, breaks });
      continue;
    }
    const parts = token.match(PART) ?? [];
    const letters = parts.flatMap((part) => part.split(CAMEL)).filter((part) => LETTER.test(part));
    const opens = opensSentence(text, index);
    const isTied = letters.length > 1 || SIGN_OR_DIGIT.test(token.replace(/\.+$/, ''));
    letters.forEach((part, nth) => {
      const evidence = remembered(part, { lexicon, memory });
      const isName = !(opens && nth === 0) && part !== part.toLowerCase() && LATIN_ONLY.test(part);
      words.push({
        evidence:
          isName && part.length < LEAST_UNKNOWN && evidence < EVIDENCE.foreignWord && evidence > 0 ? 0 : evidence,
        excuse: isName ? 'name' : isTied && evidence <= EVIDENCE.foreignWord ? 'identifier' : undefined,
        breaks: nth === 0 && breaks,
      });
    });
  }
  return words;
}

function remembered(part: string, { lexicon, memory }: { lexicon: Lexicon; memory: Map<string, number> }): number {
  const known = memory.get(part);
  if (known !== undefined) return known;
  const evidence = evidenceOf(part, lexicon);
  if (part.length > LONGEST_REMEMBERED) return evidence;
  if (memory.size >= REMEMBERED) memory.clear();
  memory.set(part, evidence);
  return evidence;
}

function evidenceOf(part: string, lexicon: Lexicon): number {
  const isAscii = ASCII_ONLY.test(part);
  const others = isAscii ? 0 : (part.match(OTHER_LETTER)?.length ?? 0);
  if (others === 1 && GREEK.test(part)) return GREEK_LETTER;
  if (others > 1) {
    const hasSpaces = others <= MOST_SPACED && !NO_SPACES.test(part);
    return hasSpaces ? EVIDENCE.foreignLetters : EVIDENCE.foreignLetters * Math.max(1, others / LETTERS_A_WORD);
  }
  if (others === 1) return part.length > 2 ? 0 : EVIDENCE.foreignLetters / LETTERS_A_WORD;
  const bare = part.replace(/^['’]+|['’]+$/g, '');
  // "1st", "covid19" and "v8" are not words with digits for letters.
  const spelled =
    !DIGIT_WITHIN.test(bare) || /^\d+\p{L}{1,3}$/u.test(bare)
      ? bare
      : bare.replace(DIGIT, (digit) => LETTERS_FOR[digit]!);
  if (!LATIN_ONLY.test(spelled)) return 0;
  const lower = spelled.toLowerCase().replaceAll('’', "'");
  if (BASES.test(lower) && lower.length >= LEAST_BASES) return 0;
  if (lower.length > MOST_LETTERS) return (EVIDENCE.unknown * lower.length) / LETTERS_OF_WORD;
  const folded = isAscii ? lower : lower.normalize('NFD').replace(MARK, '');
  if (folded !== lower || OTHER_LATIN.test(lower))
    return isEnglish(folded, lexicon) && !FOREIGN_WORDS.has(folded) ? EVIDENCE.loan : EVIDENCE.accented;
  if (SHARED_WORDS.has(lower)) return EVIDENCE.shared;
  if (FOREIGN_WORDS.has(lower)) return EVIDENCE.foreignWord;
  if (isEnglish(lower, lexicon)) return lower.length < LEAST_UNKNOWN ? EVIDENCE.english / 2 : EVIDENCE.english;
  if (isJargon(lower)) return EVIDENCE.english / 2;
  if (lower.length < LEAST_UNKNOWN)
    return lower.length === LEAST_UNKNOWN - 1 && !VOWEL.test(lower) ? EVIDENCE.unknown / 2 : 0;
  if (isCompound(lower, lexicon)) return EVIDENCE.shared;
  if (isScience(lower) || (lower.length >= LEAST_NEARLY && lexicon.nearWord(lower) !== undefined))
    return EVIDENCE.nearly;
  return EVIDENCE.unknown;
}

/** Whether a word opens a sentence. After a full stop or a line end, a capital says nothing. */
function opensSentence(text: string, at: number): boolean {
  for (let i = at - 1; i >= 0; i--) {
    const before = text[i]!;
    if (before === '\n' || '.!?:;"“«¿¡'.includes(before)) return true;
    if (before !== ' ') return false;
  }
  return true;
}
