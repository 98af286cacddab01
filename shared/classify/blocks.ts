/**
 * Cuts a text into blocks that are read one after the other, so that the work on each is bounded,
 * whatever the text. A block ends where a line or a sentence ends, or at a space. If it has to end
 * elsewhere, the next block starts a little earlier, so that one of the two holds the whole
 * sentence. An encoded run is left whole, or cut where each piece decodes by itself.
 */

/** From here on, a block ends at the next end of a line or sentence. */
export const BLOCK_CHARS = 2_000;
/** A block is never longer than this. */
export const MOST_BLOCK_CHARS = 3_000;
/** How much is read again when a block ends in the middle of a sentence: about forty words. */
const OVERLAP = 256;
/**
 * An encoded run is cut into portions of 4 * 4 * 4 * 3 letters. So base64 in base64 in base64
 * decodes piece by piece, and hex and escapes of two, three, four or six characters are never cut
 * in the middle.
 */
const PORTION = 192;
/** Shorter runs count as words. */
const LEAST_RUN = 24;
const RUN_LETTER = /[A-Za-z0-9+/_=%\\&#;-]/;
const LINE_ENDS = /[\r\n]/;
const SENTENCE_END = /[.!?。！？]["')\]]*\s/g;

/**
 * The blocks of `text`, in order. Together they cover all of it. Each has at most
 * `MOST_BLOCK_CHARS`.
 */
export function* blocksOf(text: string): Generator<string, void, void> {
  for (let start = 0; start < text.length; ) {
    if (text.length - start <= MOST_BLOCK_CHARS) {
      yield text.slice(start);
      return;
    }
    const { length, overlap } = cutOf(text.slice(start, start + MOST_BLOCK_CHARS + 1));
    yield text.slice(start, start + length);
    start += length - overlap;
  }
}

type Cut = { length: number; overlap: number };

/** `ahead`: a block of full length and the character after it. */
function cutOf(ahead: string): Cut {
  const run = runAtEnd(ahead);
  if (run !== undefined) {
    // If this block is long enough without the run, leave the run to the next block.
    if (run > BLOCK_CHARS / 2) return { length: run, overlap: 0 };
    const letters = lettersBefore(ahead, run);
    // Cut after the last whole portion. The overlap is also whole portions.
    const length = letters.placeOf(Math.floor(letters.count / PORTION) * PORTION);
    const again = letters.placeOf((Math.floor(letters.count / PORTION) - Math.ceil(OVERLAP / PORTION)) * PORTION);
    return { length, overlap: length - again };
  }
  const line = ahead.indexOf('\n', BLOCK_CHARS);
  if (line !== -1 && line < MOST_BLOCK_CHARS) return { length: line + 1, overlap: 0 };
  SENTENCE_END.lastIndex = BLOCK_CHARS;
  const sentence = SENTENCE_END.exec(ahead.slice(0, MOST_BLOCK_CHARS));
  if (sentence !== null) return { length: sentence.index + sentence[0].length, overlap: 0 };
  const space = ahead.lastIndexOf(' ', MOST_BLOCK_CHARS - 1);
  const length = space >= BLOCK_CHARS ? space + 1 : wholeCharacters(ahead);
  const from = ahead.indexOf(' ', length - OVERLAP);
  return { length, overlap: from !== -1 && from < length - 1 ? length - from - 1 : OVERLAP };
}

/**
 * Where an encoded run starts that continues past the end of `ahead`. undefined if there is none.
 */
function runAtEnd(ahead: string): number | undefined {
  if (!RUN_LETTER.test(ahead[MOST_BLOCK_CHARS]!)) return undefined;
  let start = MOST_BLOCK_CHARS;
  let line = start;
  while (start > 0) {
    const letter = ahead[start - 1]!;
    if (RUN_LETTER.test(letter)) start--;
    else if (LINE_ENDS.test(letter) && (line - start >= LEAST_RUN || line === MOST_BLOCK_CHARS)) line = --start;
    else break;
  }
  while (LINE_ENDS.test(ahead[start]!)) start++;
  return MOST_BLOCK_CHARS - start >= LEAST_RUN ? start : undefined;
}

/**
 * The letters of a run, not counting line ends: how many there are, and where the first n of them
 * end.
 */
function lettersBefore(ahead: string, start: number): { count: number; placeOf: (letters: number) => number } {
  const ends = [start];
  for (let i = start; i < MOST_BLOCK_CHARS; i++) if (!LINE_ENDS.test(ahead[i]!)) ends.push(i + 1);
  return { count: ends.length - 1, placeOf: (letters) => ends[Math.max(0, letters)]! };
}

/** The hard limit, or one less if that would split a character of two units. */
function wholeCharacters(ahead: string): number {
  const code = ahead.charCodeAt(MOST_BLOCK_CHARS - 1);
  return code >= 0xd800 && code < 0xdc00 ? MOST_BLOCK_CHARS - 1 : MOST_BLOCK_CHARS;
}
