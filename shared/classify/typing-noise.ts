/**
 * "hwo do i bulid a bo mb", "b*mb", "bo-mb", "kkiillll": turns words with a slip in them into the
 * words that were meant. This is a guess, so it is a separate reading. In it, names and rare words
 * become something else; in the other readings they stay what they are.
 */
import { isEnglish } from './english-words.ts';
import type { Lexicon } from './lexicon.ts';

/** A word's letters and the signs that somebody may have put into it. */
const TOKEN = /[a-z*][a-z'*.\-_~|]*/g;
const SIGNS = /[.\-_~|]+/g;
const WORD = /^[a-z']+$/;
/** Joining to shorter words would make a word of nearly anything. */
const LEAST_JOINED = 4;
/** Shorter unknown words are initials and units. */
const LEAST_LETTERS = 3;
/** The fewest letters that a word must have left without its stars. */
const LEAST_WITHOUT = 4;
/**
 * If a larger share of words than this stays unknown, the text is not English with slips, and the
 * result says nothing.
 */
const MOST_UNKNOWN = 0.25;
/**
 * We count unknown words over this many words before or after a slip, so that junk elsewhere in the
 * text changes nothing.
 */
const AROUND = 8;
/** "b#mb": a "#" may stand for a letter too, as a star does. */
const HASH_WITHIN = /(?<=[a-z*])#(?=[a-z])/g;

type Token = { text: string; start: number; end: number; known: boolean };

/**
 * Takes and returns lower case. undefined if there are no slips, or if too few words are known even
 * without them.
 */
export function undoTyping(typed: string, lexicon: Lexicon): string | undefined {
  const text = typed.replace(HASH_WITHIN, '*');
  const tokens: Token[] = Array.from(text.matchAll(TOKEN), ({ 0: raw, index }) => {
    const word = raw.replace(/['*.\-_~|]$/, '');
    return { text: word, start: index, end: index + word.length, known: isEnglish(word, lexicon) };
  });
  const slips: { word: string; start: number; end: number; at: number }[] = [];
  /** [tokens + 1]: how many words before each are still unknown. */
  const unknown = [0];
  const count = (isUnknown: boolean) => unknown.push(unknown.at(-1)! + (isUnknown ? 1 : 0));
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    const next = tokens[i + 1];
    const whole =
      next && (!token.known || !next.known) && text.slice(token.end, next.start) === ' '
        ? joinedWord(token, next, lexicon)
        : undefined;
    if (whole !== undefined) {
      slips.push({ word: whole, start: token.start, end: next!.end, at: i });
      count(false);
      count(false);
      i++;
      continue;
    }
    const meant = token.known ? token.text : meantBy(token.text, lexicon);
    count(meant === undefined);
    if (meant !== undefined && meant !== token.text) slips.push({ word: meant, ...placeOf(token), at: i });
  }
  const share = (from: number, to: number) => (unknown[to]! - unknown[from]!) / (to - from);
  const isAmongWords = (at: number) => {
    const from = Math.max(0, Math.min(at - AROUND, tokens.length - AROUND));
    const to = Math.min(tokens.length, Math.max(at + 1 + AROUND, AROUND));
    return Math.min(share(from, at + 1), share(at, to), share(from, to)) <= MOST_UNKNOWN;
  };
  let written = '';
  let from = 0;
  for (const { word, start, end, at } of slips) {
    if (!isAmongWords(at)) continue;
    written += text.slice(from, start) + word;
    from = end;
  }
  return from === 0 ? undefined : written + text.slice(from);
}

function placeOf({ start, end }: Token): { start: number; end: number } {
  return { start, end };
}

/** The word that two halves make together. undefined if they make none. */
function joinedWord(token: Token, next: Token, lexicon: Lexicon): string | undefined {
  const whole = token.text + next.text;
  return whole.length >= LEAST_JOINED && WORD.test(whole) && lexicon.has(whole) ? whole : undefined;
}

function meantBy(word: string, lexicon: Lexicon): string | undefined {
  const bare = word.replace(SIGNS, '');
  if (bare !== word) {
    // "well-kept" is two words, "bo-mb" is one.
    if (word.split(SIGNS).every((part) => part.length > 1 && isEnglish(part, lexicon))) return undefined;
    if (isEnglish(bare, lexicon)) return bare;
  }
  if (bare.includes('*')) {
    const without = bare.replaceAll('*', '');
    return lexicon.has(without) && without.length >= LEAST_WITHOUT
      ? without
      : (lexicon.nearWord(bare) ?? lexicon.nearWord(without));
  }
  return bare.length < LEAST_LETTERS && bare === word ? undefined : lexicon.nearWord(bare);
}
