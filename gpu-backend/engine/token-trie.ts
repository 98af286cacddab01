/**
 * The tokens of a vocabulary as a tree of their bytes, in flat arrays: fifty thousand tokens make
 * some ninety thousand nodes. Node 0 is the root, and the children of a node lie side by side.
 */

type Entry = { bytes: Uint8Array; id: number };

export class TokenTrie {
  /** By node: the byte that leads to it. */
  readonly byte: Uint8Array;
  /** By node: its children are those from here up to `lastChild`, without that one. */
  readonly firstChild: Int32Array;
  readonly lastChild: Int32Array;
  /** By node: the tokens that end there, as places in `ids`. */
  readonly firstId: Int32Array;
  readonly lastId: Int32Array;
  /** By node: after this place in `ids`, no token goes through it. */
  readonly #lastBelow: Int32Array;
  readonly #depth: Uint16Array;
  readonly ids: Int32Array;
  readonly #entries: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    this.#entries = entries.toSorted((a, b) => compare(a.bytes, b.bytes));
    this.ids = Int32Array.from(this.#entries, ({ id }) => id);
    const most = 1 + this.#entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const node = { byte: new Uint8Array(most), depth: new Uint16Array(most) };
    const [firstChild, lastChild, firstId, lastId, lastBelow] = [1, 2, 3, 4, 5].map(() => new Int32Array(most)) as [
      Int32Array,
      Int32Array,
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    lastBelow[0] = this.#entries.length;
    let count = 1;
    for (let at = 0; at < count; at++) {
      const depth = node.depth[at]!;
      const end = lastBelow[at]!;
      let place = firstId[at]!;
      while (place < end && this.#entries[place]!.bytes.length === depth) place++;
      lastId[at] = place;
      firstChild[at] = count;
      while (place < end) {
        const byte = this.#entries[place]!.bytes[depth]!;
        const begin = place;
        while (place < end && this.#entries[place]!.bytes[depth] === byte) place++;
        node.byte[count] = byte;
        node.depth[count] = depth + 1;
        firstId[count] = begin;
        lastBelow[count] = place;
        count++;
      }
      lastChild[at] = count;
    }
    this.byte = node.byte.slice(0, count);
    this.#depth = node.depth.slice(0, count);
    this.firstChild = firstChild.slice(0, count);
    this.lastChild = lastChild.slice(0, count);
    this.firstId = firstId.slice(0, count);
    this.lastId = lastId.slice(0, count);
    this.#lastBelow = lastBelow.slice(0, count);
  }

  /** What is left of the tokens that go through `node`, behind it. Empty if none goes further. */
  rest(node: number): Entry[] {
    return this.#entries
      .slice(this.lastId[node], this.#lastBelow[node])
      .map(({ bytes, id }) => ({ bytes: bytes.subarray(this.#depth[node]), id }));
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
