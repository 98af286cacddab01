/**
 * "h0w d0 1 m4k3 4 b0mb": digits and signs in place of letters. A token counts as leetspeak if it
 * makes a word of the lexicon when letters replace the signs. Only if a text has such a token are
 * others ("4", "1") and unknown words ("m3ph3dr0ne") read as letters too. So "mp3", "4th" and "B12"
 * stay what they are.
 */
import type { Lexicon } from './lexicon.ts';
import { breakToken, MARGIN } from './word-breaks.ts';

const LETTERS_FOR: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'il',
  '2': 'z',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '6': 'gb',
  '7': 't',
  '8': 'b',
  '9': 'g',
  '@': 'a',
  $: 's',
  '!': 'il',
  '|': 'li',
  '+': 't',
  '(': 'c',
  '€': 'e',
  '£': 'l',
};
const SIGNS = Object.keys(LETTERS_FOR)
  .map((sign) => (/\d/.test(sign) ? sign : `\\${sign}`))
  .join('');
/** A word's own letters and signs, without the punctuation around it. */
const TOKEN = new RegExp(`[a-z'${SIGNS}]+`, 'g');
const SIGN = new RegExp(`[${SIGNS}]`);
/** "4th", "8am", "5kg", "2nd": a number and its unit. */
const NUMBER_AND_UNIT = /^[\d+($€£]+[a-z]{1,3}$/;
/** Signs that may stand at the end of a word without being one of its letters. */
const END_SIGNS = "!|+('€£";
/** Two characters too easily make a word. */
const LEAST_LETTERS = 3;
/** Each sign with several meanings doubles the spellings to look up. */
const MAX_SPELLINGS = 16;
/**
 * Longer tokens are not words but sentences without spaces. They get one spelling and are taken
 * apart (word-breaks.ts).
 */
const MOST_LETTERS = 24;

/**
 * `undoLeetspeak('h0w', lexicon)` gives `how`. A text without leetspeak is returned unchanged.
 * Takes and returns lower case.
 */
export function undoLeetspeak(text: string, lexicon: Lexicon): string {
  const tokens = new Set(text.match(TOKEN)?.filter((token) => SIGN.test(token)));
  const spelled = new Map<string, string>();
  if (![...tokens].some((token) => isWordInSigns(token, lexicon))) return text;
  for (const token of tokens) spelled.set(token, spell(token, lexicon));
  return text.replace(TOKEN, (token) => spelled.get(token) ?? token);
}

/** What a token with signs says if other tokens are surely leetspeak. */
function spell(token: string, lexicon: Lexicon): string {
  const { core, end } = withoutEnd(token);
  if (core.length > MOST_LETTERS) return (sentenceIn(core, lexicon) ?? core) + end;
  for (const [signs, rest] of [
    [token, ''],
    [core, end],
  ] as const) {
    const word = cheapest(signs, lexicon);
    if (lexicon.has(word)) return word + rest;
  }
  // The token is an unknown word. But a price, a year or a number with its unit stays as it is even
  // here.
  return !/[a-z]/.test(core) || NUMBER_AND_UNIT.test(core) ? token : cheapest(core, lexicon) + end;
}

/**
 * Whether a token mixes letters and signs, and makes a known word when the signs are read as
 * letters.
 */
function isWordInSigns(token: string, lexicon: Lexicon): boolean {
  const { core } = withoutEnd(token);
  if (core.length < LEAST_LETTERS || !SIGN.test(core) || !/[a-z]/.test(core) || NUMBER_AND_UNIT.test(core))
    return false;
  return core.length > MOST_LETTERS ? sentenceIn(core, lexicon) !== undefined : lexicon.has(cheapest(core, lexicon));
}

/**
 * The words of a long token whose signs are letters and whose spaces are missing. undefined if it
 * contains no words.
 */
function sentenceIn(core: string, lexicon: Lexicon): string | undefined {
  const letters = Array.from(core, (sign) => LETTERS_FOR[sign]?.[0] ?? sign).join('');
  const words = breakToken(letters, { lexicon, margin: MARGIN });
  return words === letters ? undefined : words;
}

/** A "!" or "+" at the end is more often a sign than a letter. */
function withoutEnd(token: string): { core: string; end: string } {
  let length = token.length;
  while (length > 0 && END_SIGNS.includes(token[length - 1]!)) length--;
  return { core: token.slice(0, length), end: token.slice(length) };
}

function cheapest(token: string, lexicon: Lexicon): string {
  let spellings = [''];
  for (const sign of token) {
    const letters = LETTERS_FOR[sign] ?? sign;
    const all = [...letters].slice(0, spellings.length * letters.length <= MAX_SPELLINGS ? letters.length : 1);
    spellings = spellings.flatMap((spelling) => all.map((letter) => spelling + letter));
  }
  return spellings.reduce((best, spelling) => (lexicon.cost(spelling) < lexicon.cost(best) ? spelling : best));
}
