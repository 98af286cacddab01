/**
 * The tokens of a vocabulary as a tree of their bytes, in flat arrays: fifty thousand tokens make
 * some ninety thousand nodes. Nodes lie in the order in which a depth-first walk meets them, so one
 * loop over the arrays is a walk, and to leave a subtree out is to go on at its end. Node 0 is the
 * root.
 */

type Entry = { bytes: Uint8Array; id: number };

export class TokenTrie {
  /** By node: the byte that leads to it. */
  readonly byte: Uint8Array;
  /** By node: how many bytes lead to it. */
  readonly depth: Uint16Array;
  /** By node: its subtree are the nodes from here up to this one, without that one. */
  readonly end: Int32Array;
  /**
   * By node, and one more: the place in `ids` of its first token. Its own tokens end where those of
   * the next node begin, and those of its subtree where those of node `end` begin.
   */
  readonly firstId: Int32Array;
  readonly ids: Int32Array;
  /** Bytes of the longest token. */
  readonly reach: number;
  /** By byte: the child of the root; 0 if there is none. */
  readonly #first = new Int32Array(256);

  constructor(entries: readonly Entry[]) {
    const sorted = entries.toSorted((a, b) => compare(a.bytes, b.bytes));
    this.ids = Int32Array.from(sorted, ({ id }) => id);
    const most = 1 + sorted.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const [byte, depth] = [new Uint8Array(most), new Uint16Array(most)];
    const [end, firstId] = [new Int32Array(most), new Int32Array(most + 1)];
    const path = [0];
    let count = 1;
    let before: Uint8Array = new Uint8Array();
    let reach = 0;
    for (const [place, { bytes }] of sorted.entries()) {
      const shared = sharedLength(before, bytes);
      while (path.length > shared + 1) end[path.pop()!] = count;
      for (let at = shared; at < bytes.length; at++) {
        byte[count] = bytes[at]!;
        depth[count] = at + 1;
        firstId[count] = place;
        path.push(count++);
      }
      before = bytes;
      reach = Math.max(reach, bytes.length);
    }
    for (const node of path) end[node] = count;
    firstId[count] = sorted.length;
    this.reach = reach;
    this.byte = byte.slice(0, count);
    this.depth = depth.slice(0, count);
    this.end = end.slice(0, count);
    this.firstId = firstId.slice(0, count + 1);
    for (let node = 1; node < count; node = this.end[node]!) this.#first[this.byte[node]!] = node;
  }

  /** The node that a byte leads to; -1 if no token goes there. */
  child(node: number, byte: number): number {
    if (node === 0) return this.#first[byte]! || -1;
    for (let child = node + 1; child < this.end[node]!; child = this.end[child]!) {
      if (this.byte[child]! === byte) return child;
    }
    return -1;
  }

  /** How many tokens go through `node` and further. */
  countBelow(node: number): number {
    return this.firstId[this.end[node]!]! - this.firstId[node + 1]!;
  }

  /** What is left of those tokens, behind `node`. */
  rest(node: number): Entry[] {
    const from = this.depth[node]!;
    const path = new Uint8Array(this.reach - from);
    const entries: Entry[] = [];
    for (let below = node + 1; below < this.end[node]!; below++) {
      const length = this.depth[below]! - from;
      path[length - 1] = this.byte[below]!;
      for (let place = this.firstId[below]!; place < this.firstId[below + 1]!; place++) {
        entries.push({ bytes: path.slice(0, length), id: this.ids[place]! });
      }
    }
    return entries;
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = sharedLength(a, b);
  if (shared < a.length && shared < b.length) return a[shared]! - b[shared]!;
  return a.length - b.length;
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < length && a[shared] === b[shared]) shared++;
  return shared;
}
