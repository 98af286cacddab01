/**
 * Sums of hidden states over stretches of a sequence's tokens, as they grow while it is fed.
 *
 * A span is cut where blocks of kept prefixes meet (prefix-store.ts), and each piece is summed by
 * itself. So a block can be kept with the sums of the pieces in it, and a sequence that begins with
 * kept blocks adds up the very same pieces as one that was fed everything.
 */
import type { Span } from '../model/looked-messages.ts';
import { BLOCK_TOKENS } from './prefix-store.ts';

/** The sums of a block's pieces, by `pieceKey`. */
export type BlockSums = ReadonlyMap<string, Float32Array>;

type Summed = Span & { sum: Float32Array };
type Piece = Span & { /** What has been fed of it, in order. */ parts: readonly Summed[] };
/** Some tokens of one piece that are fed in one run. */
export type Part = Span & { /** The piece. */ of: string };

export class SpanSums {
  readonly #spans: readonly Span[];
  /** Where the last span ends. */
  readonly #end: number;
  /** In the order of their keys' first use. */
  readonly #pieces: Map<string, Piece>;
  /** The pieces of each block. */
  readonly #ofBlock: ReadonlyMap<number, readonly string[]>;

  /** @param spans positions of the sequence's tokens; they may overlap */
  constructor(spans: readonly Span[]) {
    this.#spans = spans;
    this.#end = Math.max(0, ...spans.map(({ to }) => to));
    this.#pieces = new Map(spans.flatMap(piecesOf).map((piece) => [keyOf(piece), { ...piece, parts: [] }]));
    this.#ofBlock = Map.groupBy(this.#pieces.keys(), (key) => blockOf(this.#pieces.get(key)!));
  }

  /** The same sums for a sequence that goes its own way from here. */
  copy(): SpanSums {
    const copy = new SpanSums(this.#spans);
    for (const [key, piece] of this.#pieces) copy.#pieces.set(key, { ...piece });
    return copy;
  }

  /** What has to be summed while the tokens from one to before another are fed. */
  partsIn({ from, to }: Span): Part[] {
    if (from >= this.#end) return [];
    return [...this.#pieces]
      .map(([of, piece]) => ({ of, from: Math.max(from, piece.from), to: Math.min(to, piece.to) }))
      .filter((part) => part.from < part.to);
  }

  add({ of, from, to }: Part, sum: Float32Array): void {
    const piece = this.#pieces.get(of)!;
    this.#pieces.set(of, { ...piece, parts: [...piece.parts, { from, to, sum }] });
  }

  /**
   * Forgets what was fed from this position on. What one run fed is one sum, so if the position is
   * within that, all of it is lost: a span with such tokens stays null.
   */
  cut(length: number): void {
    if (length >= this.#end) return;
    for (const [key, piece] of this.#pieces) {
      this.#pieces.set(key, { ...piece, parts: piece.parts.filter(({ to }) => to <= length) });
    }
  }

  /** The sum over each span; null if some of its tokens have not been fed. */
  sums(): (Float32Array | null)[] {
    return this.#spans.map((span) => {
      const sums = piecesOf(span).map((piece) => sumOf(this.#pieces.get(keyOf(piece))!));
      return sums.every((sum) => sum !== null) ? total(sums) : null;
    });
  }

  /**
   * The sums to keep with a block. null if one of them is not whole or not a number, or if the
   * block has been kept with all of them.
   */
  toKeep(block: number, known: BlockSums | null): BlockSums | null {
    if (known !== null && this.fits(block, known)) return null;
    const found = new Map<string, Float32Array>();
    for (const piece of this.#in(block)) {
      const sum = sumOf(piece);
      if (sum === null || !sum.every(Number.isFinite)) return null;
      found.set(pieceKey(piece), sum);
    }
    return found;
  }

  /** Whether a kept block has all that this sequence needs of it. */
  fits(block: number, kept: BlockSums): boolean {
    return this.#in(block).every((piece) => kept.has(pieceKey(piece)));
  }

  /** Takes what was kept with a block in the place of feeding it. */
  take(block: number, kept: BlockSums): void {
    for (const piece of this.#in(block)) {
      const { from, to } = piece;
      this.#pieces.set(keyOf(piece), { ...piece, parts: [{ from, to, sum: kept.get(pieceKey(piece))! }] });
    }
  }

  #in(block: number): Piece[] {
    return (this.#ofBlock.get(block) ?? []).map((key) => this.#pieces.get(key)!);
  }
}

const blockOf = ({ from }: Span) => Math.floor(from / BLOCK_TOKENS);
const keyOf = ({ from, to }: Span) => `${from}-${to}`;
/** Where a piece is in its block. */
const pieceKey = ({ from, to }: Span) => `${from % BLOCK_TOKENS}-${to - from}`;

function piecesOf({ from, to }: Span): Span[] {
  const pieces: Span[] = [];
  for (let at = from; at < to; ) {
    const end = Math.min(to, (blockOf({ from: at, to }) + 1) * BLOCK_TOKENS);
    pieces.push({ from: at, to: end });
    at = end;
  }
  return pieces;
}

/** null if some of its tokens are missing. */
function sumOf({ from, to, parts }: Piece): Float32Array | null {
  const fed = parts.reduce((count, part) => count + part.to - part.from, 0);
  return fed === to - from ? total(parts.map(({ sum }) => sum)) : null;
}

function total(sums: readonly Float32Array[]): Float32Array {
  const [first, ...rest] = sums;
  if (first === undefined) throw new Error('found a span without a token');
  if (rest.length === 0) return first;
  const all = Float64Array.from(first);
  for (const sum of rest) for (let i = 0; i < all.length; i++) all[i]! += sum[i]!;
  return Float32Array.from(all);
}
