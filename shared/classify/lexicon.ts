/**
 * How likely a string of letters is to be English, judged only by a list of words in order of
 * falling frequency. By Zipf's law the word of rank r has the probability 1 / ((r + 1) ln N). (This
 * is the trick of the "wordninja" segmenter, after Norvig, "Natural Language Corpus Data", 2009.) A
 * word outside the list pays for being unknown and for every letter. Costs are in nats: the reading
 * of a text that costs less is likelier. It knows only single words and no grammar.
 */
import { createLetterTree, type WordsFrom } from './letter-tree.ts';
import { createNearWords, type NearWord } from './near-words.ts';

/** About one word in twelve of a prompt is not in the list. */
export const UNKNOWN_COST = Math.log(12);
/**
 * In English, a letter costs about 3.6 bits, which is 2.5 nats. ln 26 would make every rare word
 * look like a cipher.
 */
export const LETTER_COST = 2.5;
const APOSTROPHES = /'/g;

export type Lexicon = {
  has(word: string): boolean;
  /** Nats, above 0. Takes `word` in lower case. */
  cost(word: string): number;
  /** What `cost` would be if the word were unknown. */
  unknownCost(word: string): number;
  /**
   * Finds every known word that begins at a place in a text, and its cost. It also finds words
   * without their apostrophe.
   */
  wordsFrom: WordsFrom;
  /** The word that a mistyped one stands for; see near-words.ts. */
  nearWord: NearWord;
};

/**
 * Takes words in order of falling frequency. `createLexicon(['the', 'to', 'how']).cost('how') <
 * createLexicon(['the']).cost('how')`.
 */
export function createLexicon(words: readonly string[]): Lexicon {
  // At least three, so that the first word of the shortest list still costs something.
  const scale = Math.log(Math.max(3, words.length));
  const costs = new Map<string, number>(words.map((word, rank) => [word, Math.log((rank + 1) * scale)]));
  const unknownCost = (word: string) => UNKNOWN_COST + LETTER_COST * word.length;
  // Some texts never need these two. So they are built on first use, which takes a few
  // milliseconds.
  let wordsFrom: WordsFrom | undefined;
  let nearWord: NearWord | undefined;
  return {
    has: (word) => costs.has(word),
    unknownCost,
    cost(word) {
      const known = costs.get(word) ?? (word.includes("'") ? costs.get(word.replace(APOSTROPHES, '')) : undefined);
      return known ?? unknownCost(word);
    },
    wordsFrom(text, start, found) {
      wordsFrom ??= createLetterTree([
        ...costs,
        ...[...costs].map(([word, cost]) => [word.replace(APOSTROPHES, ''), cost] as const),
      ]);
      wordsFrom(text, start, found);
    },
    nearWord(word) {
      nearWord ??= createNearWords(words);
      return nearWord(word);
    },
  };
}
