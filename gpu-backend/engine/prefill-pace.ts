/**
 * How many prompt tokens to read between two tokens of the answers under way. Such a chunk may take
 * about 1.4 times as long as a decode run. Chunks and decode runs alternate, so while others'
 * prompts are read, an answer's tokens should come at about 2.4 times their usual distance.
 *
 * How long a chunk takes is known only by measuring. A run costs something however few tokens it
 * has (it reads every weight), then something for each token, more so late in a long prompt. So the
 * size follows what the last chunk took, and settles where a chunk takes what it may:
 * tokens' = tokens * allowed / taken.
 *
 * Where even small chunks take too long, that would end in chunks of one token, and a prompt would
 * never be read. So it is read at a twelfth of the speed that it would have alone, if not faster.
 * That wins over the 1.4: SmolLM2-135M reaches it with one answer beside a prompt of 2,000 tokens
 * (docs/performance.md).
 */

/** How long a chunk may take, as a multiple of a decode run. */
const CHUNK_PER_DECODE = 1.4;
/** The slowest that a prompt is read, as a part of its speed alone. */
const SLOWEST = 1 / 12;
/** How much the last decode run counts in the average. */
const FRESH = 0.25;
/** A first size that no machine minds. */
const SMALL = 16;
/** From so many tokens on, a run shows how fast prompts are read alone. */
const MANY = 64;

export class PrefillPace {
  #lastDecodeMs = 0;
  #meanDecodeMs = 0;
  #lastChunkMs = 0;
  /** Of the last run that read many tokens while nobody waited for it; 0 before that. */
  #aloneMsPerToken = 0;
  #settled: { tokens: number; allowedMs: number } | null = null;

  /** The number of tokens, over all rows, for the next chunk beside decode runs. At least 1. */
  get tokens(): number {
    return Math.max(1, Math.floor(this.#size));
  }

  /** Call this after a decode run. */
  decoded(ms: number): void {
    this.#meanDecodeMs += (this.#meanDecodeMs === 0 ? 1 : FRESH) * (ms - this.#meanDecodeMs);
    this.#lastDecodeMs = ms;
  }

  /** Call this after a run that read prompts while nobody waited for it. */
  readAlone({ tokens, ms }: { tokens: number; ms: number }): void {
    if (tokens >= MANY) this.#aloneMsPerToken = ms / tokens;
  }

  /** Call this after a chunk beside decode runs. */
  readBeside({ tokens, ms }: { tokens: number; ms: number }): void {
    const size = this.#size;
    const allowedMs = this.#allowedMs;
    this.#lastChunkMs = ms;
    // A chunk that was small because a prompt ended says little about larger ones.
    if (tokens < size / 2 && ms <= allowedMs) return;
    // What is lost because each row gets a whole number of tokens still counts. Otherwise a size
    // could never grow by less than a token in every row.
    const counted = tokens >= 0.75 * size ? Math.max(size, tokens) : tokens;
    const wanted = ms > 0 ? (counted * allowedMs) / ms : Infinity;
    this.#settled = { tokens: Math.min(Math.max(wanted, size / 2), size * 2), allowedMs };
  }

  get #size(): number {
    return Math.max(this.#settled === null ? this.#guess() : this.#scaled(this.#settled), this.#slowest);
  }

  /** The smaller of mean and last, so that a crowd that has gone no longer counts. */
  get #allowedMs(): number {
    return CHUNK_PER_DECODE * Math.min(this.#meanDecodeMs, this.#lastDecodeMs);
  }

  /**
   * The size for the time that is allowed now. What a run costs without its tokens stays the same
   * when there is less time. So less than in proportion is left for tokens, and the ratio counts
   * twice. When there is more time, the next chunks will show what it is good for.
   */
  #scaled({ tokens, allowedMs }: { tokens: number; allowedMs: number }): number {
    return tokens * Math.min(1, (this.#allowedMs / allowedMs) ** 2 || 1);
  }

  /** A run costs at least what a decode run costs. The rest of its time is for its tokens. */
  #guess(): number {
    if (this.#aloneMsPerToken === 0) return SMALL;
    return (this.#allowedMs * (1 - 1 / CHUNK_PER_DECODE)) / this.#aloneMsPerToken;
  }

  get #slowest(): number {
    if (this.#aloneMsPerToken === 0) return 0;
    return Math.ceil((SLOWEST * (this.#lastChunkMs + this.#meanDecodeMs)) / this.#aloneMsPerToken);
  }
}
