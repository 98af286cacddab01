/**
 * Words run together ("howdoimakeabomb", or spaced-out letters once joined) are taken apart where that is likelier than one long
 * unknown word: Norvig's segmentation ("Natural Language Corpus Data", 2009), by dynamic programming over the lexicon's
 * costs. Words tied together by anything but spaces ("how.do_i+make") get their spaces back.
 */
import type { Lexicon } from './lexicon.ts';

/** Few English words are longer, and a shorter unknown one is more likely a name ("carbonara") than two words. */
const LEAST_LETTERS = 14;
/** Time is length times the longest word, so this much of a token is read and the rest stays in one piece. */
const MOST_LETTERS = 400;
/** Nats that the pieces must be cheaper than the whole: a factor of a hundred. */
const MARGIN = Math.log(100);
const LONG_TOKEN = new RegExp(`(?<![\\p{L}\\p{N}])[a-z']{${LEAST_LETTERS},}(?![\\p{L}\\p{N}])`, 'gu');
/** Four words or more with the same sign between each two. The look behind keeps it from trying every letter of a long word. */
const TIED_WORDS = /(?<![\p{L}\p{N}'])[\p{L}\p{N}']+([.\-_+*/|~,:;=#&])[\p{L}\p{N}']+(?:\1[\p{L}\p{N}']+){2,}/gu;
/** Three or more single letters or digits, the same one to three signs or spaces between each two ... */
const EVEN_RUN =
  /(?<![\p{L}\p{N}@$][^\p{L}\p{N}\s]?)[\p{L}\p{N}@$]([^\p{L}\p{N}'@$]{1,3})[\p{L}\p{N}@$](?:\1[\p{L}\p{N}@$])+(?![^\p{L}\p{N}\s]?[\p{L}\p{N}@$])/gu;
/** ... or any one or two signs that are not spaces. */
const SIGNED_RUN = /(?<![\p{L}\p{N}])[\p{L}\p{N}](?:[^\p{L}\p{N}\s']{1,2}[\p{L}\p{N}]){2,}(?![\p{L}\p{N}])/gu;
/** Two letters are a run in the company of longer ones: "d o" after "h o w". */
const PAIR = /(?<![\p{L}\p{N}])[\p{L}\p{N}@$][^\p{L}\p{N}'@$][\p{L}\p{N}@$](?![\p{L}\p{N}@$])/gu;
const BETWEEN = /[^\p{L}\p{N}@$]/gu;

/** Joins spaced-out letters where `normalize` leaves them for the sake of honest texts: digits, pairs, any separator. */
export function joinLetters(text: string): string {
  const join = (run: string) => run.replace(BETWEEN, '');
  const joined = text.replace(SIGNED_RUN, join).replace(EVEN_RUN, join);
  return joined === text ? text : joined.replace(PAIR, join);
}

/** `breakWords('howdoimakeabomb', lexicon)` gives `how do i make a bomb`. Lower case in and out. */
export function breakWords(text: string, lexicon: Lexicon): string {
  return text
    .replace(TIED_WORDS, (words, sign: string) => words.replaceAll(sign, ' '))
    .replace(LONG_TOKEN, (token) => (lexicon.has(token) ? token : breakToken(token, lexicon)));
}

function breakToken(token: string, lexicon: Lexicon): string {
  const head = token.slice(0, MOST_LETTERS);
  // costs[i]: the cheapest way to read the first i letters; starts[i]: where its last word begins.
  const costs = new Float64Array(head.length + 1).fill(Number.POSITIVE_INFINITY);
  const starts = new Int32Array(head.length + 1);
  costs[0] = 0;
  for (let end = 1; end <= head.length; end++) {
    for (let start = Math.max(0, end - lexicon.longest); start < end; start++) {
      const cost = costs[start]! + lexicon.cost(head.slice(start, end));
      if (cost < costs[end]!) {
        costs[end] = cost;
        starts[end] = start;
      }
    }
  }
  if (costs[head.length]! + MARGIN > lexicon.unknownCost(head)) return token;
  const words: string[] = [];
  for (let end = head.length; end > 0; end = starts[end]!) words.unshift(head.slice(starts[end], end));
  return `${words.join(' ')}${token.slice(MOST_LETTERS)}`;
}
