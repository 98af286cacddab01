/**
 * How likely a string of letters is as English, from nothing but a list of words by falling frequency. By Zipf's law the word of
 * rank r has the probability 1 / ((r + 1) ln N) (the trick of the "wordninja" segmenter, after Norvig, "Natural Language
 * Corpus Data", 2009); what is not in the list pays for being unknown and for every letter. Costs are in nats: the
 * reading of a text that costs less is the likelier one. It knows single words, no grammar.
 */

/** About one word in twelve of a prompt is not in the list. */
const UNKNOWN_COST = Math.log(12);
/** English letters at about 3.6 bits each; ln 26 would call every rare word a cipher. */
const LETTER_COST = 2.5;
const APOSTROPHES = /'/g;

export type Lexicon = {
  has(word: string): boolean;
  /** Nats, above 0; `word` in lower case. */
  cost(word: string): number;
  /** What `cost` would be if nobody knew the word. */
  unknownCost(word: string): number;
  /** Letters of the longest word. */
  longest: number;
};

/** `createLexicon(['the', 'to', 'how']).cost('how') < createLexicon(['the']).cost('how')`. Words by falling frequency. */
export function createLexicon(words: readonly string[]): Lexicon {
  // Three at least, so that the first word of the shortest list still costs something.
  const scale = Math.log(Math.max(3, words.length));
  const costs = new Map<string, number>();
  let longest = 0;
  words.forEach((word, rank) => {
    costs.set(word, Math.log((rank + 1) * scale));
    longest = Math.max(longest, word.length);
  });
  const unknownCost = (word: string) => UNKNOWN_COST + LETTER_COST * word.length;
  return {
    longest,
    has: (word) => costs.has(word),
    unknownCost,
    cost(word) {
      const known = costs.get(word) ?? (word.includes("'") ? costs.get(word.replace(APOSTROPHES, '')) : undefined);
      return known ?? unknownCost(word);
    },
  };
}
