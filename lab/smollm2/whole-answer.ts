/** Cuts answers where a sentence ends. An answer that breaks off is another answer. */
import type { FinishReason } from '#shared/api/chat-answer.ts';

/** After a letter, so that the "1." of a list is no end, with quotes and brackets closed. */
const SENTENCE_END = /[\p{L})"'’”*][.!?]["')”’*]*(?=\s|$)/gu;

/** The answer without a last sentence that was cut off; null if no whole sentence is left. */
export function wholeAnswer({ text, finish }: { text: string; finish: FinishReason }): string | null {
  const answer = text.trim();
  if (finish !== 'length') return answer === '' ? null : answer;
  const end = sentenceEnds(answer).at(-1);
  return end === undefined ? null : answer.slice(0, end);
}

/** The answer's first sentences, as many as come nearest to this number of characters. */
export function firstSentences(answer: string, characters: number): string {
  const ends = [...sentenceEnds(answer), answer.length];
  const distance = (end: number) => Math.abs(end - characters);
  return answer.slice(
    0,
    ends.reduce((best, end) => (distance(end) < distance(best) ? end : best)),
  );
}

function sentenceEnds(text: string): number[] {
  return [...text.matchAll(SENTENCE_END)].map(({ index, 0: found }) => index + found.length);
}
