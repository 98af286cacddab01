/**
 * "ho wd oi ma ke ab om b": turns a sentence cut into pieces of two or three letters back into
 * words. Pieces count as chopped if the words they make together are far likelier than the pieces
 * themselves. So "is it my cat or not" stays as it is. This is a guess, so it is a separate
 * reading.
 */
import type { Lexicon } from './lexicon.ts';
import { breakToken } from './word-breaks.ts';

const PIECE = /[a-z']+/g;
const MOST_LETTERS = 3;
/** Fewer pieces may be abbreviations. */
const LEAST_PIECES = 5;
const LEAST_UNKNOWN = 3;
/** What stands between two pieces. */
const GAP = /^\s{1,8}$/;
/** The words must be likelier by this many nats. */
const LEAST_GAIN = 12;
/** The least share of the joined text that must be words of the list. Spaces count against it. */
const LEAST_KNOWN = 0.6;
/** The most pieces that are joined at once. */
const MOST_RUN = 400;

type Run = { start: number; end: number; pieces: string[] };

/** Takes and returns lower case. */
export function joinChopped(text: string, lexicon: Lexicon): string {
  let joined = '';
  let from = 0;
  let run: Run | undefined;
  const endRun = () => {
    const words = run && wordsOf(run.pieces, lexicon);
    if (run && words !== undefined) {
      joined += text.slice(from, run.start) + words;
      from = run.end;
    }
    run = undefined;
  };
  for (const { 0: piece, index } of text.matchAll(PIECE)) {
    const end = index + piece.length;
    if (run && (run.pieces.length === MOST_RUN || !GAP.test(text.slice(run.end, Math.min(index, run.end + 9)))))
      endRun();
    if (piece.length > MOST_LETTERS) endRun();
    else if (run) {
      run.pieces.push(piece);
      run.end = end;
    } else run = { start: index, end, pieces: [piece] };
  }
  endRun();
  return from === 0 ? text : joined + text.slice(from);
}

function wordsOf(pieces: readonly string[], lexicon: Lexicon): string | undefined {
  if (pieces.length < LEAST_PIECES) return undefined;
  if (pieces.filter((piece) => !lexicon.has(piece)).length < LEAST_UNKNOWN) return undefined;
  const words = breakToken(pieces.join(''), { lexicon, margin: 0 });
  const all = words.split(' ');
  const known = all.reduce((sum, word) => sum + (lexicon.has(word) ? word.length : 0), 0);
  if (known < LEAST_KNOWN * words.length) return undefined;
  const cost = (some: readonly string[]) => some.reduce((sum, word) => sum + lexicon.cost(word), 0);
  return cost(pieces) - cost(all) >= LEAST_GAIN ? words : undefined;
}
