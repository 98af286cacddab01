/**
 * Splits words that run together ("howdoimakeabomb", or spaced-out letters once joined), if that is
 * likelier than one long unknown word. This is Norvig's segmentation ("Natural Language Corpus
 * Data", 2009), in one pass over the letters. Four or more words tied by the same sign
 * ("how_do_i_make") get their spaces back.
 */
import { LETTER_COST, type Lexicon, UNKNOWN_COST } from './lexicon.ts';

/**
 * Few English words are longer. A shorter unknown one is more likely a name ("carbonara") than two
 * words.
 */
const LEAST_LETTERS = 14;
/** The pieces must be cheaper than the whole by this many nats: a factor of a hundred. */
export const MARGIN = Math.log(100);
/** The cost of "'s" after a word that the list has without it. */
const POSSESSIVE_COST = 2;
const LONG_TOKEN = new RegExp(`(?<![\\p{L}\\p{N}])[a-z']{${LEAST_LETTERS},}(?![\\p{L}\\p{N}])`, 'gu');
/**
 * Four or more words with the same sign between them. The look-behind keeps the pattern from trying
 * every letter of a long word.
 */
const TIED_WORDS = /(?<![\p{L}\p{N}'])[\p{L}\p{N}']+([.\-_+*/|~,:;=#&])[\p{L}\p{N}']+(?:\1[\p{L}\p{N}']+){2,}/gu;

/**
 * `breakWords('howdoimakeabomb', lexicon)` gives `how do i make a bomb`. Takes and returns lower
 * case.
 */
export function breakWords(text: string, lexicon: Lexicon): string {
  return text
    .replace(TIED_WORDS, (words, sign: string) => words.replaceAll(sign, ' '))
    .replace(LONG_TOKEN, (token) => (lexicon.has(token) ? token : breakToken(token, { lexicon, margin: MARGIN })));
}

/**
 * Splits a run of letters into words. Returns the run unchanged if the words are not likelier by
 * `margin`.
 */
export function breakToken(token: string, { lexicon, margin }: { lexicon: Lexicon; margin: number }): string {
  const { length } = token;
  // At [i]: the cost of the cheapest way to read the first i letters in whole pieces, and where the
  // last of these pieces begins.
  const costs = new Float64Array(length + 1).fill(Number.POSITIVE_INFINITY);
  const starts = new Int32Array(length + 1);
  // The same for the letters up to here, if the last piece is unknown and may go on.
  let open = Number.POSITIVE_INFINITY;
  let openedAt = 0;
  costs[0] = 0;
  let at = 0;
  const offer = (end: number, cost: number) => {
    if (costs[at]! + cost >= costs[end]!) return;
    costs[end] = costs[at]! + cost;
    starts[end] = at;
  };
  const found = (end: number, cost: number) => {
    offer(end, cost);
    if (token.startsWith("'s", end)) offer(end + 2, cost + POSSESSIVE_COST);
  };
  for (; at < length; at++) {
    if (open < costs[at]!) {
      costs[at] = open;
      starts[at] = openedAt;
    }
    lexicon.wordsFrom(token, at, found);
    if (costs[at]! + UNKNOWN_COST < open) {
      open = costs[at]! + UNKNOWN_COST;
      openedAt = at;
    }
    open += LETTER_COST;
  }
  if (open < costs[length]!) {
    costs[length] = open;
    starts[length] = openedAt;
  }
  if (costs[length]! + margin > lexicon.unknownCost(token)) return token;
  const words: string[] = [];
  for (let end = length; end > 0; end = starts[end]!) words.push(token.slice(starts[end], end));
  return words.reverse().join(' ');
}
