/**
 * How sure it is that a part of a text is in a language the classifier does not know. Its weights come from English, so what it
 * says of anything else is a guess, and a policy should know. Words are evidence for or against English: letters and
 * words of other languages, words that nobody knows, and on the other side words of the list. Names, numbers, code and the
 * short words that many languages share say little. Evidence adds up, and the stretch of words with the largest sum counts, so that
 * a frame of English around it changes nothing; a code that nobody undid reads as an unknown language too, and is one.
 */
import { sigmoid } from './combine-scores.ts';
import { FOREIGN_WORDS, SHARED_WORDS } from './function-words.ts';
import type { Lexicon } from './lexicon.ts';

/** What each kind of word adds; from the least to the most telling. */
const EVIDENCE = { foreignWord: 1.3, foreignLetters: 2.5, accented: 1.1, unknown: 0.8, english: -0.9, shared: -0.1 };
/** Evidence at which it is as likely as not, and how fast it grows from there. */
const EVEN = 2.9;
const SLOPE = 1.5;
/** Shorter words that nobody knows are units, variables and initials. */
const LEAST_UNKNOWN = 4;
const VOWEL = /[aeiouy]/;
/** A letter of a script without spaces is about half a word. */
const LETTERS_A_WORD = 3;

/** Longer than identifiers, hashes and most addresses; from here on each so many characters count as a word. */
const LEAST_CODE = 100;
const LETTERS_OF_CODE = 25;

/** A run of letters with what is tied to it, so that names of things in code can be told from words. */
const TOKEN = /[\p{L}\p{M}\p{N}'’_$@/\\.(=-]+/gu;
const LETTER = /\p{L}/u;
const LATIN_ONLY = /^[\p{Script=Latin}\p{M}'’-]+$/u;
const OTHER_LETTER = /(?!\p{Script=Latin})\p{L}/gu;
const MARK = /\p{M}/u;
/** Letters that are no English one with a mark. */
const OTHER_LATIN = /[ßøæœđłıħŧŋ]/;
const ASCII_ONLY = /^[!-~]+$/;
const ENDINGS = [
  "'s",
  's',
  'es',
  'ed',
  'd',
  'ing',
  'ly',
  'er',
  'ers',
  'y',
  'al',
  'ness',
  "n't",
  "'ll",
  "'re",
  "'ve",
  "'d",
];
const BEGINNINGS = ['un', 're', 'non', 'over', 'sub', 'pre'];

/** Evidence of tokens in small letters, which does not depend on what stands around them; most words of a text are old friends. */
const REMEMBERED = 8_192;
const LONGEST_REMEMBERED = 20;
const memories = new WeakMap<Lexicon, Map<string, number>>();

/**
 * In [0, 1]. `written`: a block as somebody wrote it, accents and capitals kept. `readings`: what else it may say, each whole; one
 * that is mostly English counts instead, so that a disguise that was taken off makes nothing uncertain.
 */
export function uncertaintyOf(written: string, readings: Iterable<string>, lexicon: Lexicon): number {
  let { worst } = judge(written, lexicon);
  for (const reading of readings) {
    // Nothing foreign to speak of: no other reading is needed.
    if (worst < EVEN / 2) break;
    const other = judge(reading, lexicon);
    if (other.english >= other.words / 2) worst = Math.min(worst, other.worst);
  }
  return sigmoid(SLOPE * (worst - EVEN));
}

/** The largest sum of evidence of any stretch of words (Kadane's maximum subarray), and how many words are English. */
function judge(text: string, lexicon: Lexicon): { worst: number; english: number; words: number } {
  const memory = memories.get(lexicon) ?? new Map<string, number>();
  memories.set(lexicon, memory);
  let sum = 0;
  let worst = 0;
  let english = 0;
  let words = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    let evidence = memory.get(token);
    if (evidence === undefined) {
      if (!LETTER.test(token)) continue;
      evidence = evidenceOf(token, { lexicon, opens: opensSentence(text, index) });
      if (token.length <= LONGEST_REMEMBERED && token === token.toLowerCase()) {
        if (memory.size >= REMEMBERED) memory.clear();
        memory.set(token, evidence);
      }
    }
    words++;
    if (evidence <= EVIDENCE.english / 2) english++;
    sum = Math.max(0, sum + evidence);
    worst = Math.max(worst, sum);
  }
  return { worst, english, words };
}

function evidenceOf(token: string, { lexicon, opens }: { lexicon: Lexicon; opens: boolean }): number {
  const isAscii = ASCII_ONLY.test(token);
  const others = isAscii ? 0 : (token.match(OTHER_LETTER)?.length ?? 0);
  if (others > 1) return EVIDENCE.foreignLetters * Math.max(1, others / LETTERS_A_WORD);
  // A key, an address or a code that nobody undid.
  if (token.length >= LEAST_CODE) return EVIDENCE.foreignWord * (token.length / LETTERS_OF_CODE);
  const word = token.replace(/^['’]+|['’.-]+$/g, '');
  if (!LATIN_ONLY.test(word)) return 0;
  const lower = word.toLowerCase().replaceAll('’', "'");
  const isName = !opens && word !== lower;
  if (!isAscii && (MARK.test(lower.normalize('NFD')) || OTHER_LATIN.test(lower))) return isName ? 0 : EVIDENCE.accented;
  if (SHARED_WORDS.has(lower)) return EVIDENCE.shared;
  if (FOREIGN_WORDS.has(lower)) return isName ? 0 : EVIDENCE.foreignWord;
  if (lower.split('-').every((part) => isEnglish(part, lexicon)))
    return lower.length < LEAST_UNKNOWN ? EVIDENCE.english / 2 : EVIDENCE.english;
  if (isName) return 0;
  if (lower.length < LEAST_UNKNOWN)
    return lower.length === LEAST_UNKNOWN - 1 && !VOWEL.test(lower) ? EVIDENCE.unknown / 2 : 0;
  return EVIDENCE.unknown;
}

function isEnglish(word: string, lexicon: Lexicon): boolean {
  if (lexicon.has(word)) return true;
  const known = (stem: string) => lexicon.has(stem) || lexicon.has(`${stem}e`);
  return (
    ENDINGS.some(
      (ending) => word.length > ending.length + 2 && word.endsWith(ending) && known(word.slice(0, -ending.length)),
    ) ||
    BEGINNINGS.some(
      (start) => word.length > start.length + 3 && word.startsWith(start) && lexicon.has(word.slice(start.length)),
    )
  );
}

/** Behind a full stop or a line end a capital says nothing. */
function opensSentence(text: string, at: number): boolean {
  for (let i = at - 1; i >= 0; i--) {
    const before = text[i]!;
    if (before === '\n' || '.!?:;"“«¿¡'.includes(before)) return true;
    if (before !== ' ') return false;
  }
  return true;
}
