/**
 * A long text in pieces that are each about as long as a prompt, because one bad sentence in a long harmless text moves its
 * sum of weights too little to be seen. Pieces end where a line or a sentence ends, if one does.
 */

/** Characters of a piece: a line may end one from here on, ... */
export const LEAST_LINE = 24;
/** ... a sentence from here on, ... */
const LEAST_SENTENCE = 120;
/** ... and here it ends anyway. Most prompts are shorter. */
export const MOST = 300;
const SENTENCE_END = /[.!?;:]["')\]]*\s/g;

/** Pieces of a normalised text in order; none where the text itself is short enough to be one. */
export function windowsOf(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + pieceLength(text.slice(start, start + MOST + 1));
    pieces.push(text.slice(start, end).trim());
    start = end;
  }
  return pieces.length > 1 ? pieces : [];
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
