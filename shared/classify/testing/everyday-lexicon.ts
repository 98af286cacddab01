/**
 * Some of the commonest English words, the commoner ones first, and a few for the tests' sentences.
 */
import { createLexicon, type Lexicon } from '../lexicon.ts';

export const EVERYDAY_WORDS =
  `the to a i and of you is in it how do what for make my can that with on be this not me are
have from your or as at but will they we about if so there out up one get when all where who why should best way old new good
time people work school read text answer please water house dog cat bake bread cake apples`.split(/\s+/);

export const everydayLexicon: Lexicon = createLexicon(EVERYDAY_WORDS);

/** The same lexicon, with a count of its look-ups. That measures work without a clock. */
export function countingLexicon(): Lexicon & { lookups(): number } {
  let count = 0;
  const counted =
    <T>(look: (word: string) => T) =>
    (word: string) => {
      count++;
      return look(word);
    };
  return {
    has: counted(everydayLexicon.has),
    cost: counted(everydayLexicon.cost),
    unknownCost: counted(everydayLexicon.unknownCost),
    // Every word found counts. The steps in between are few and cheap, one per letter.
    wordsFrom(text, start, found) {
      count++;
      everydayLexicon.wordsFrom(text, start, (end, cost) => {
        count++;
        found(end, cost);
      });
    },
    nearWord: counted(everydayLexicon.nearWord),
    lookups: () => count,
  };
}
