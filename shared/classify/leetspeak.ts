/**
 * "h0w d0 1 m4k3 4 b0mb": digits and signs in place of letters. A token counts as leetspeak when its letters for signs make a
 * word of the lexicon; only where that happened may its neighbours ("4", "1") and words that nobody knows ("m3ph3dr0ne") be
 * letters too, so that "mp3", "4th" and "B12" stay what they are.
 */
import type { Lexicon } from './lexicon.ts';

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
/** Two letters and a digit make a word too easily. */
const LEAST_LETTERS = 3;
/** Each sign of several meanings doubles the spellings to look up. */
const MAX_SPELLINGS = 16;

/** `undoLeetspeak('h0w', lexicon)` gives `how`; a text without leetspeak comes back as it is. Lower case in and out. */
export function undoLeetspeak(text: string, lexicon: Lexicon): string {
  const isLeetspeak = text.match(TOKEN)?.some((token) => isWordInSigns(token, lexicon)) ?? false;
  if (!isLeetspeak) return text;
  return text.replace(TOKEN, (token) => {
    if (!SIGN.test(token)) return token;
    const { core, end } = withoutEnd(token);
    for (const [signs, rest] of [
      [token, ''],
      [core, end],
    ] as const) {
      const word = cheapest(signs, lexicon);
      if (lexicon.has(word)) return word + rest;
    }
    // An unknown word, then; but a price, a year or a number with its unit is itself even in this company.
    return !/[a-z]/.test(core) || NUMBER_AND_UNIT.test(core) ? token : cheapest(core, lexicon) + end;
  });
}

/** Letters and signs mixed, which make a known word when the signs are read as letters. */
function isWordInSigns(token: string, lexicon: Lexicon): boolean {
  const { core } = withoutEnd(token);
  if (core.length < LEAST_LETTERS || !SIGN.test(core) || !/[a-z]/.test(core) || NUMBER_AND_UNIT.test(core))
    return false;
  return lexicon.has(cheapest(core, lexicon));
}

/** A closing "!" or "+" is more often itself than a letter. */
function withoutEnd(token: string): { core: string; end: string } {
  const core = token.replace(/[!|+('€£]+$/, '');
  return { core, end: token.slice(core.length) };
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
