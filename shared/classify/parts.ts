/**
 * Parts of sentences. If a sentence has a harmless clause before or after a request, the average of
 * the two would hide the request. So we also read clauses, which end at punctuation marks, and
 * overlapping stretches of words, in case there are no marks. A part may say more than was meant,
 * so it needs a clearer score than a sentence (score-text.ts).
 */
import { countWords, sentencesOf } from './sentences.ts';

/**
 * Marks between clauses, with or without spaces, and ends of sentences without a space after them.
 */
const CLAUSE = /[:,;()[\]—–•/\t\r\u2028\u2029‽]+|\s-+\s|[.?!](?=\p{L})/gu;
/** "I want to die" has four words. Fewer words say nothing alone. */
const LEAST_WORDS = 4;
/**
 * The words of a stretch: about as many as a request has. Each stretch begins a third of its length
 * after the one before.
 */
const STRETCH_WORDS = 12;
const STRIDE_WORDS = 4;
/** The most characters of a stretch. This matters if words are long or there are no spaces. */
const MOST_STRETCH_CHARS = 160;
/**
 * Nobody writes a sentence this long. It is a row of words without full stops, in which at most the
 * end of a request is marked.
 */
const RUN_ON_WORDS = 60;
const TAIL_WORDS = [6, 8, 10, 12];
/**
 * Shorter stretches, for a short request among other words that the stretches above would dilute.
 */
const SHORT_STRETCH_WORDS = 8;
const SHORT_STRIDE_WORDS = 3;
const WORD = /[^\s]+/g;

/** The parts of a normalised text. None comes twice, and none is a whole sentence. */
export function partsOf(text: string): string[] {
  const parts = new Set<string>();
  const sentences = sentencesOf(text);
  for (const sentence of sentences) {
    for (const clause of sentence.split(CLAUSE)) {
      const trimmed = clause.trim();
      if (countWords(trimmed) >= LEAST_WORDS) parts.add(trimmed);
    }
    for (const stretch of stretchesOf(sentence)) parts.add(stretch);
  }
  for (const sentence of sentences) parts.delete(sentence);
  return [...parts];
}

/**
 * Overlapping stretches of a sentence longer than one stretch. The last one ends where the sentence
 * ends.
 */
function stretchesOf(sentence: string): string[] {
  const words = Array.from(sentence.matchAll(WORD), ({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
  }));
  const { length } = words;
  if (length <= STRETCH_WORDS && sentence.length <= MOST_STRETCH_CHARS) return [];
  const stretches: string[] = [];
  const add = (start: number, end: number) => {
    // Very long words are cut too, with overlap.
    for (let from = start; from < end; from += MOST_STRETCH_CHARS / 2) {
      const to = Math.min(end, from + MOST_STRETCH_CHARS);
      stretches.push(sentence.slice(from, to));
      if (to === end) break;
    }
  };
  const addAll = (size: number, stride: number) => {
    for (let first = 0; first + size < length; first += stride) add(words[first]!.start, words[first + size - 1]!.end);
    add(words[Math.max(0, length - size)]!.start, words[length - 1]!.end);
  };
  addAll(STRETCH_WORDS, STRIDE_WORDS);
  if (length > RUN_ON_WORDS) {
    addAll(SHORT_STRETCH_WORDS, SHORT_STRIDE_WORDS);
    for (const tail of TAIL_WORDS)
      stretches.push(sentence.slice(Math.max(words[length - tail]!.start, sentence.length - MOST_STRETCH_CHARS)));
  }
  return stretches;
}
