/**
 * The lexicon that ships in the model's file: the words of the training prompts by falling
 * frequency. A rare string is more often a slip or a name than a word. Strings of one or two
 * letters are mostly variables and units, and would let any noise pass as words.
 */
import { normalize } from '#shared/classify/normalize.ts';

/** How often a word must occur, by its number of letters. Longer words need `LEAST_COUNT_LONG`. */
const LEAST_COUNT: Readonly<Record<number, number>> = { 1: Number.POSITIVE_INFINITY, 2: 40, 3: 10 };
const LEAST_COUNT_LONG = 3;
const ONE_LETTER_WORDS = ['a', 'i'];
const MOST_LETTERS = 20;

/** Deterministic: words with the same count come in alphabetical order. */
export function wordList(texts: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of normalize(text).matchAll(/[a-z]+(?:'[a-z]+)*/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const known = (word: string, count: number) =>
    ONE_LETTER_WORDS.includes(word) ||
    (word.length <= MOST_LETTERS && count >= (LEAST_COUNT[word.length] ?? LEAST_COUNT_LONG));
  return [...counts]
    .filter(([word, count]) => known(word, count))
    .toSorted(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([word]) => word);
}
