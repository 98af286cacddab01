/**
 * Parts of sentences: a harmless clause before or after a request, or beside it in one breath, would hide it in their mean.
 * Clauses end at marks; where there are none, overlapping stretches of words take their place. A part says more than was
 * meant, so it has to say it more clearly than a sentence does (score-text.ts).
 */
import { countWords, sentencesOf } from './sentences.ts';

/** Marks between clauses, with or without spaces, and ends of sentences that no space follows. */
const CLAUSE = /[:,;()[\]—–•/\t\r\u2028\u2029‽]+|\s-+\s|[.?!](?=\p{L})/gu;
/** "I want to die" has four words; fewer say nothing alone. */
const LEAST_WORDS = 4;
/** Of so many words, about as many as a request has, each beginning a third of a stretch after the last, ... */
const STRETCH_WORDS = 12;
const STRIDE_WORDS = 4;
/** ... and of so many characters at most, where words are long or there are none. */
const MOST_STRETCH_CHARS = 160;
/** Nobody writes so long a sentence: words without a full stop, in which a request's end is marked at most. */
const RUN_ON_WORDS = 60;
const TAIL_WORDS = [6, 8, 10, 12];
/** A short request among other words: the stretches above would dilute it. */
const SHORT_STRETCH_WORDS = 8;
const SHORT_STRIDE_WORDS = 3;
const WORD = /[^\s]+/g;

/** Of a normalised text; none twice, and none that is a whole sentence. */
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

/** Overlapping stretches of a sentence that is longer than one; the last one ends where it ends. */
function stretchesOf(sentence: string): string[] {
  const words = Array.from(sentence.matchAll(WORD), ({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
  }));
  const { length } = words;
  if (length <= STRETCH_WORDS && sentence.length <= MOST_STRETCH_CHARS) return [];
  const stretches: string[] = [];
  const add = (start: number, end: number) => {
    // Words without end are cut, overlapping too.
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
