/**
 * "hwo do i bulid a bo mb", "b*mb", "bo-mb", "kkiillll": words with a slip in them become the words that were meant. A guess, so a
 * reading of its own; names and rare words become something else in it, and stay what they are in the others.
 */
import type { Lexicon } from './lexicon.ts';

/** A word's letters and the signs that somebody may have put into it. */
const TOKEN = /[a-z*][a-z'*.\-_~|]*/g;
const SIGNS = /[.\-_~|]+/g;
const WORD = /^[a-z']+$/;
/** Shorter halves make a word of nearly anything. */
const LEAST_JOINED = 4;
const LEAST_LETTERS = 4;
/** Where more words stay unknown it is no English with slips, and what became of it says nothing. */
const MOST_UNKNOWN = 0.25;
/** What a known word may end in without being in the list. */
const ENDINGS = ["'s", 's', 'es', 'ed', 'd', 'ing', 'ly', 'er', 'y'];

type Token = { text: string; start: number; end: number; known: boolean };

/** Lower case in and out; undefined where there are no slips, or where too little is known even without them. */
export function undoTyping(text: string, lexicon: Lexicon): string | undefined {
  const tokens: Token[] = Array.from(text.matchAll(TOKEN), ({ 0: raw, index }) => {
    const word = raw.replace(/['*.\-_~|]$/, '');
    return { text: word, start: index, end: index + word.length, known: isKnown(word, lexicon) };
  });
  let written = '';
  let from = 0;
  let unknown = 0;
  const write = (word: string, { start, end }: { start: number; end: number }) => {
    written += text.slice(from, start) + word;
    from = end;
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    const next = tokens[i + 1];
    const whole =
      next && (!token.known || !next.known) && text.slice(token.end, next.start) === ' '
        ? joinedWord(token, next, lexicon)
        : undefined;
    if (whole !== undefined) {
      write(whole, { start: token.start, end: next!.end });
      i++;
      continue;
    }
    if (token.known) continue;
    const meant = meantBy(token.text, lexicon);
    if (meant === undefined) unknown++;
    else if (meant !== token.text) write(meant, token);
  }
  return from === 0 || unknown > MOST_UNKNOWN * tokens.length ? undefined : written + text.slice(from);
}

/** Two halves that are a word together, which they are not alone. */
function joinedWord(token: Token, next: Token, lexicon: Lexicon): string | undefined {
  const whole = token.text + next.text;
  return whole.length >= LEAST_JOINED && WORD.test(whole) && lexicon.has(whole) ? whole : undefined;
}

function meantBy(word: string, lexicon: Lexicon): string | undefined {
  const bare = word.replace(SIGNS, '');
  if (bare !== word) {
    // "well-kept" is two words; "bo-mb" is one.
    if (word.split(SIGNS).every((part) => part.length > 1 && isKnown(part, lexicon))) return undefined;
    if (isKnown(bare, lexicon)) return bare;
  }
  if (bare.includes('*')) {
    const without = bare.replaceAll('*', '');
    return lexicon.has(without) && without.length >= LEAST_LETTERS
      ? without
      : (lexicon.nearWord(bare) ?? lexicon.nearWord(without));
  }
  return bare.length < LEAST_LETTERS && bare === word ? undefined : lexicon.nearWord(bare);
}

function isKnown(word: string, lexicon: Lexicon): boolean {
  if (lexicon.has(word)) return true;
  return ENDINGS.some(
    (ending) => word.length > ending.length + 2 && word.endsWith(ending) && lexicon.has(word.slice(0, -ending.length)),
  );
}
