/**
 * How likely a string of letters is as English, from nothing but a list of words by falling frequency. By Zipf's law the word of
 * rank r has the probability 1 / ((r + 1) ln N) (the trick of the "wordninja" segmenter, after Norvig, "Natural Language
 * Corpus Data", 2009); what is not in the list pays for being unknown and for every letter. Costs are in nats: the
 * reading of a text that costs less is the likelier one. It knows single words, no grammar.
 */
import { createLetterTree, type WordsFrom } from './letter-tree.ts';
import { createNearWords, type NearWord } from './near-words.ts';

/** About one word in twelve of a prompt is not in the list. */
export const UNKNOWN_COST = Math.log(12);
/** English letters at about 3.6 bits each; ln 26 would call every rare word a cipher. */
export const LETTER_COST = 2.5;
const APOSTROPHES = /'/g;

export type Lexicon = {
  has(word: string): boolean;
  /** Nats, above 0; `word` in lower case. */
  cost(word: string): number;
  /** What `cost` would be if nobody knew the word. */
  unknownCost(word: string): number;
  /** Every known word that begins at a place of a text, with its cost; without its apostrophe, too. */
  wordsFrom: WordsFrom;
  /** The word meant by one that was mistyped; see near-words.ts. */
  nearWord: NearWord;
};

/** `createLexicon(['the', 'to', 'how']).cost('how') < createLexicon(['the']).cost('how')`. Words by falling frequency. */
export function createLexicon(words: readonly string[]): Lexicon {
  // Three at least, so that the first word of the shortest list still costs something.
  const scale = Math.log(Math.max(3, words.length));
  const costs = new Map<string, number>(words.map((word, rank) => [word, Math.log((rank + 1) * scale)]));
  const unknownCost = (word: string) => UNKNOWN_COST + LETTER_COST * word.length;
  // Some texts never ask: both are made at the first question, which takes some milliseconds.
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
