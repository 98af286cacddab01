/**
 * Keys and values that stay on the device. The slab in this process's memory holds them all, and
 * the device holds a copy of it, as a run left it. As long as both are the same, a run reads the
 * copy: no key of an earlier token crosses to the device, and only those of the new tokens come
 * back, for the slab.
 *
 * A run may have several tokens a row, as drafts do. Whatever else changes the slab makes the copy
 * stale: a prompt that joined, a fork, more slots or positions. Then the next run is fed from the
 * slab. A row that leaves or is cut changes no key.
 */
import type { DeviceTensor, Feed } from '../graph/session.ts';
import type { Past } from './kv-cache.ts';
import type { Slab } from './slab.ts';

/** The graph's inputs and outputs for one tensor of a layer. */
type Names = { past: string; next: string };

export class DevicePast {
  readonly names: readonly Names[];
  /** How many runs were fed from the slab. */
  uploads = 0;
  #tensors: DeviceTensor[] = [];
  /** What the copy is a copy of. */
  #slab: Slab | null = null;
  #version = 0;

  constructor({ layers }: { layers: number }) {
    this.names = Array.from({ length: layers }, (_, layer) =>
      ['k', 'v'].map((part) => ({ past: `past_${part}.${layer}`, next: `next_${part}.${layer}` })),
    ).flat();
  }

  /**
   * These feeds, with the places of the new tokens, and with the copy in place of the past if it is
   * the same. `keep` names the outputs that `take` wants: none if the tokens have no places,
   * because the past is not the slab or the slab is full.
   */
  feeds(
    feeds: Readonly<Record<string, Feed>>,
    past: Past,
  ): { feeds: Record<string, Feed | DeviceTensor>; keep: string[] } {
    const { rows, length, ends } = past;
    const tokens = feeds.ids!.dims[0]!;
    const perRow = tokens / rows;
    const fit = past.slab !== null && ends.every((end) => end + perRow <= length);
    const places = new BigInt64Array(tokens * 2);
    // Padding and rows that are not fed get places too, after the last token, where nobody looks.
    for (let i = 0; fit && i < tokens; i++) {
      const row = i % rows;
      places.set([BigInt(ends[row]! + Math.floor(i / rows)), BigInt(row)], 2 * i);
    }
    const withPlaces = { ...feeds, places: { dims: [tokens, 2], data: places } };
    return { feeds: this.#withCopy(past, withPlaces), keep: fit ? this.names.map(({ next }) => next) : [] };
  }

  #withCopy(past: Past, feeds: Record<string, Feed>): Record<string, Feed | DeviceTensor> {
    if (past.slab === null || past.slab !== this.#slab || past.slab.version !== this.#version) {
      this.uploads++;
      return feeds;
    }
    const copies = this.names.map((name, i): [string, DeviceTensor] => [name.past, this.#tensors[i]!]);
    return { ...feeds, ...Object.fromEntries(copies) };
  }

  /**
   * Takes what a run kept: the past that it read, with its new tokens. Call it when they are in the
   * slab too.
   */
  take(kept: DeviceTensor[], { slab, length }: Past): void {
    this.clear();
    if (slab === null || kept.length === 0) return;
    this.#tensors = kept;
    // If the slab has grown meanwhile, the copy is too short.
    this.#slab = slab.capacity === length ? slab : null;
    this.#version = slab.version;
  }

  /** Gives the device's memory back. */
  clear(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#tensors = [];
    this.#slab = null;
  }
}
