/**
 * A text in pieces, because one bad sentence in a long harmless text moves its sum of weights too little to be seen: pieces of
 * about a prompt's length, and single sentences, lines and fields, since nobody knows how much of a text belongs together. What is
 * smaller than a sentence is in parts.ts.
 */
import { fieldsOf, sentencesOf } from './sentences.ts';

/** Characters of a large piece: a line may end one from here on, ... */
const LEAST_LINE = 24;
/** ... a sentence from here on, ... */
const LEAST_SENTENCE = 120;
/** ... and here it ends anyway. Most prompts are shorter. */
export const MOST = 300;

const SENTENCE_END = /[.!?;:]["')\]]*\s|[。！？]/g;

/** Pieces of a normalised text, none twice; none where the text is itself one short sentence. */
export function windowsOf(text: string): string[] {
  const pieces = new Set<string>([...largePieces(text), ...sentencesOf(text), ...fieldsOf(text)]);
  pieces.delete('');
  pieces.delete(text);
  return [...pieces];
}

/** In order and together all of the text. */
function largePieces(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + pieceLength(text.slice(start, start + MOST + 1));
    pieces.push(text.slice(start, end).trim());
    start = end;
  }
  return pieces;
}

/** To the first line end, else the last sentence end, else the last space that leaves a piece of fair size. */
function pieceLength(ahead: string): number {
  const line = ahead.indexOf('\n', LEAST_LINE);
  if (line !== -1) return line + 1;
  if (ahead.length <= MOST) return ahead.length;
  let sentence = 0;
  for (const { 0: mark, index } of ahead.matchAll(SENTENCE_END)) sentence = index + mark.length;
  if (sentence >= LEAST_SENTENCE) return sentence;
  const space = ahead.lastIndexOf(' ');
  return space >= LEAST_SENTENCE ? space + 1 : MOST;
}
