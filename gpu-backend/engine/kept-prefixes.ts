/**
 * Kept prefixes of the onnxruntime driver: which blocks of keys and values a sequence begins with,
 * and how they get into its slot and out of it. prefix-store.ts decides what is kept and who may
 * find it.
 */
import type { Prediction, Prefix, PrefixStats, Source } from './experts.ts';
import type { KvCache, Slot } from './kv-cache.ts';
import { BLOCK_TOKENS, type Block, PrefixStore } from './prefix-store.ts';
import type { SpanSums } from './span-sums.ts';

type Blocks = readonly Block<Float32Array>[];

/** How a sequence began. */
export type Recalled = {
  /** What it begins with and has not got yet: it has no slot before its first run. */
  blocks: Blocks;
  /** What it began with, until a row has shown that this is of use. */
  untried: Blocks;
};

export const NOTHING_RECALLED: Recalled = { blocks: [], untried: [] };

export class KeptPrefixes {
  readonly #cache: KvCache;
  readonly #store: PrefixStore<Float32Array>;
  readonly #sharedLayers: number;

  /**
   * @param sharedLayers how many of the bottom layers have the same keys and values for every
   *   source. Those are kept once.
   * @param answersApart whether tokens of an answer are kept apart from those of a prompt
   */
  constructor(
    cache: KvCache,
    { mostBytes, sharedLayers, answersApart }: { mostBytes: number; sharedLayers: number; answersApart: boolean },
  ) {
    this.#cache = cache;
    this.#store = new PrefixStore({ mostBytes, answersApart });
    this.#sharedLayers = sharedLayers;
  }

  get stats(): PrefixStats {
    return this.#store.stats;
  }

  /**
   * The longest known beginning, and how many tokens that is.
   *
   * @param sums take what is known of them
   */
  recall(source: Source, prefix: Prefix, sums: SpanSums | null): { recalled: Recalled; tokens: number } {
    const blocks = this.#store.find(source, prefix, (i, kept) => sums?.fits(i, kept) ?? true);
    for (const [i, block] of blocks.entries()) sums?.take(i, block.sums ?? new Map());
    return { recalled: { blocks, untried: blocks }, tokens: blocks.length * BLOCK_TOKENS };
  }

  /** What a sequence begins with if it is cut to so many tokens. */
  cut({ blocks, untried }: Recalled, length: number): Recalled {
    return { blocks: blocks.slice(0, Math.ceil(length / BLOCK_TOKENS)), untried };
  }

  /**
   * Copies what a sequence begins with into its new slot, which must have room for it
   * (`KvCache.reserve`).
   *
   * @param length the sequence's: it may have been cut within the last block
   */
  copyInto(slot: Slot, { recalled, length }: { recalled: Recalled; length: number }): Recalled {
    const { blocks, untried } = recalled;
    if (blocks.length === 0) return recalled;
    const shared = this.#sharedLayers;
    for (const [i, block] of blocks.entries()) {
      const place = { position: i * BLOCK_TOKENS, count: BLOCK_TOKENS };
      if (block.shared) this.#cache.copyIn(slot, block.shared, { ...place, layers: [0, shared] });
      this.#cache.copyIn(slot, block.own, { ...place, layers: [shared, this.#cache.shape.layers] });
    }
    slot.length = length;
    return { blocks: [], untried };
  }

  /** Forgets the blocks that a sequence began with if its first rows are of no use. */
  judge(recalled: Recalled, predictions: readonly Prediction[]): Recalled {
    // A step that wanted no row has shown nothing.
    if (predictions.length === 0) return recalled;
    const isUsable = ({ row }: Prediction) => !('logits' in row && row.logits.some(Number.isNaN));
    const { blocks, untried } = recalled;
    if (untried.length > 0 && !predictions.every(isUsable)) this.#store.forget(untried);
    return { blocks, untried: [] };
  }

  /** Keeps what a slot holds of this prefix. */
  keep(slot: Slot, { source, prefix, sums }: { source: Source; prefix: Prefix; sums: SpanSums | null }): void {
    const shared = this.#sharedLayers;
    const copyOut = (position: number, layers: [number, number]) => {
      const block = this.#cache.copyOut(slot, { position, count: BLOCK_TOKENS, layers });
      // One such number would spoil every sequence that began with it.
      return areFinite(block) ? block : null;
    };
    this.#store.keep(source, prefix, {
      shared: shared === 0 ? null : (from) => copyOut(from, [0, shared]),
      own: (from) => copyOut(from, [shared, this.#cache.shape.layers]),
      sums: (block, known) => sums?.toKeep(block, known) ?? null,
    });
  }
}

/** Several times as fast as `every`, which counts for as many numbers as a prompt's keys. */
function areFinite(numbers: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += 0 * numbers[i]!;
  return sum === 0;
}
