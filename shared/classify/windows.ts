/**
 * Cuts a text into pieces. One bad sentence in a long harmless text moves the sum of weights too
 * little to be seen. And nobody knows how much of a text belongs together. So there are pieces of
 * about a prompt's length, as well as single sentences, lines and fields. parts.ts makes the pieces
 * that are smaller than a sentence.
 */
import { fieldsOf, sentencesOf } from './sentences.ts';

/** A large piece with at least this many characters may end at a line end. */
const LEAST_LINE = 24;
/** A large piece with at least this many characters may end at the end of a sentence. */
const LEAST_SENTENCE = 120;
/** A large piece is never longer than this. Most prompts are shorter. */
export const MOST_PIECE = 300;

const SENTENCE_END = /[.!?;:]["')\]]*\s|[。！？]/g;

/**
 * The pieces of a normalised text. None comes twice. There are none if the text is itself one short
 * sentence.
 */
export function windowsOf(text: string): string[] {
  const pieces = new Set<string>([...largePieces(text), ...sentencesOf(text), ...fieldsOf(text)]);
  pieces.delete('');
  pieces.delete(text);
  return [...pieces];
}

/** The large pieces, in order. Together they are the whole text. */
function largePieces(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + pieceLength(text.slice(start, start + MOST_PIECE + 1));
    pieces.push(text.slice(start, end).trim());
    start = end;
  }
  return pieces;
}

/**
 * The length of the next piece. It goes up to the first line end, else the last sentence end, else
 * the last space that leaves a piece of fair size.
 */
function pieceLength(ahead: string): number {
  const line = ahead.indexOf('\n', LEAST_LINE);
  if (line !== -1) return line + 1;
  if (ahead.length <= MOST_PIECE) return ahead.length;
  let sentence = 0;
  for (const { 0: mark, index } of ahead.matchAll(SENTENCE_END)) sentence = index + mark.length;
  if (sentence >= LEAST_SENTENCE) return sentence;
  const space = ahead.lastIndexOf(' ');
  return space >= LEAST_SENTENCE ? space + 1 : MOST_PIECE;
}
