/**
 * "ho wd oi ma ke ab om b": a sentence cut into pieces of two or three letters becomes words again.
 * Pieces count as chopped where the words they make together are far likelier than they are, so
 * that "is it my cat or not" stays. A guess, so a reading.
 */
import type { Lexicon } from './lexicon.ts';
import { breakToken } from './word-breaks.ts';

const PIECE = /[a-z']+/g;
const MOST_LETTERS = 3;
/** Fewer pieces are abbreviations. */
const LEAST_PIECES = 5;
const LEAST_UNKNOWN = 3;
/** Between two pieces. */
const GAP = /^\s{1,8}$/;
/** Nats by which the words must be likelier. */
const LEAST_GAIN = 12;
/** Of its letters in words of the list; its spaces count against it. */
const LEAST_KNOWN = 0.6;
/** One breakToken call reads no more. */
const MOST_RUN = 400;

type Run = { start: number; end: number; pieces: string[] };

/** Lower case in and out. */
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
