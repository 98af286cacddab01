/**
 * Keys and values side by side, one array per layer: `[capacity, slots, width]`, position first. So
 * a prefix of positions is one contiguous view, which onnxruntime reads without a copy, and one
 * more token is one small write per sequence. The slab only knows places; kv-cache.ts knows whose
 * they are.
 *
 * More positions come at the end of each array. So a slab may have addresses reserved for as many
 * as it will ever need (a resizable ArrayBuffer). Then it grows in place, in no time, however much
 * is in it. Reserved addresses take no memory, and neither do positions before they are written.
 */
export type CacheShape = { layers: number; width: number };

/** One array per layer. */
export type KeysAndValues = { keys: readonly Float32Array[]; values: readonly Float32Array[] };

const PARTS = ['keys', 'values'] as const;

export type Size = { slotCount: number; capacity: number };

/** Some tokens of a slot, the first one at `position`, in the layers from one to before another. */
export type Place = { slot: number; position: number; count: number; layers: readonly [number, number] };

export class Slab {
  readonly shape: CacheShape;
  readonly slotCount: number;
  /** Another number after everything that changes what the slab holds. */
  version = 0;
  #capacity: number;
  readonly #arrays: Record<(typeof PARTS)[number], Float32Array<ArrayBuffer>[]>;

  /** @param reserved the number of positions that it can grow to in place; Infinity for none */
  constructor(shape: CacheShape, { slotCount, capacity }: Size, { reserved = Infinity }: { reserved?: number } = {}) {
    const positionBytes = slotCount * shape.width * Float32Array.BYTES_PER_ELEMENT;
    const most = Number.isFinite(reserved) ? Math.max(reserved, capacity) * positionBytes : 0;
    const arrays = () => Array.from({ length: shape.layers }, () => newArray(capacity * positionBytes, most));
    this.shape = shape;
    this.slotCount = slotCount;
    this.#capacity = capacity;
    this.#arrays = { keys: arrays(), values: arrays() };
  }

  /** What such a slab takes. */
  static bytesFor({ layers, width }: CacheShape, { slotCount, capacity }: Size): number {
    return capacity * slotCount * layers * width * PARTS.length * Float32Array.BYTES_PER_ELEMENT;
  }

  /** What it takes now, positions that were never written included. */
  get bytes(): number {
    return PARTS.reduce(
      (sum, part) => sum + this.#arrays[part].reduce((all, { byteLength }) => all + byteLength, 0),
      0,
    );
  }

  /**
   * Gives memory back, array by array, at least so many bytes if there are as many. What it held is
   * gone. Returns how many bytes that was.
   */
  giveBack(bytes: number): number {
    let given = 0;
    for (const part of PARTS) {
      for (const array of this.#arrays[part]) {
        if (given >= bytes) return given;
        given += array.byteLength;
        if (array.byteLength > 0) letGo(array);
      }
    }
    return given;
  }

  /** The number of positions. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Views of the first positions, `[length, slots, width]`. Throws if there are fewer. */
  prefix(length: number): KeysAndValues {
    this.#check({ slot: 0, end: length });
    const end = length * this.slotCount * this.shape.width;
    const views = (arrays: readonly Float32Array[]) => arrays.map((array) => array.subarray(0, end));
    return { keys: views(this.#arrays.keys), values: views(this.#arrays.values) };
  }

  /**
   * Copies the first positions of a slot of `source` (this slab or another) into a slot of this
   * one. As everything here that names a place, it throws if the place is not there.
   */
  copySlot(source: Slab, { from, to, length }: { from: number; to: number; length: number }): void {
    this.version++;
    for (const part of PARTS) {
      for (const layer of source.#arrays[part].keys()) this.#copyLayer(source, part, layer, { from, to, length });
    }
  }

  /**
   * Adds positions at the end. Where they are reserved, nothing moves. If not, each array moves as
   * one block and the old one is gone at once, so views of it are empty from then on.
   *
   * @returns whether something moved
   */
  grow(capacity: number): boolean {
    this.version++;
    const bytes = capacity * this.slotCount * this.shape.width * Float32Array.BYTES_PER_ELEMENT;
    let moved = false;
    for (const arrays of Object.values(this.#arrays)) {
      for (const [layer, array] of arrays.entries()) {
        const isReserved = array.buffer.resizable && bytes <= array.buffer.maxByteLength;
        moved ||= !isReserved;
        arrays[layer] = isReserved ? lengthened(array, bytes) : movedTo(array, bytes);
      }
    }
    this.#capacity = capacity;
    return moved;
  }

  /**
   * Moves slots of another slab into this one, and leaves that slab empty: layer by layer, so that
   * there is one layer twice and never all of them. `keep` leaves the other slab whole.
   */
  takeSlots(
    source: Slab,
    places: readonly { from: number; to: number; length: number }[],
    { keep = false }: { keep?: boolean } = {},
  ): void {
    this.version++;
    for (const part of PARTS) {
      for (const layer of source.#arrays[part].keys()) {
        for (const place of places) this.#copyLayer(source, part, layer, place);
        if (!keep) letGo(source.#arrays[part][layer]!);
      }
    }
  }

  /**
   * Writes the first `count` tokens of a row of `fresh [T, rows, width]` into a slot, the first one
   * at `position`.
   */
  write(
    fresh: KeysAndValues,
    { slot, position, row, rows, count }: Record<'slot' | 'position' | 'row' | 'rows' | 'count', number>,
  ): void {
    this.#check({ slot, end: position + count });
    this.version++;
    const { width } = this.shape;
    for (const part of PARTS) {
      fresh[part].forEach((array, layer) => {
        const target = this.#arrays[part][layer]!;
        // A row alone in a slab of one slot lies there as it lies here.
        if (rows === 1 && this.slotCount === 1) {
          target.set(array.subarray(0, count * width), position * width);
          return;
        }
        for (let t = 0; t < count; t++) {
          copy(array, (t * rows + row) * width, target, this.#offset(position + t, slot), width);
        }
      });
    }
  }

  /**
   * Some tokens of a slot in some layers, one after another in an order that only `copyIn` needs to
   * know.
   */
  copyOut(place: Place): Float32Array {
    const { width } = this.shape;
    const [first, end] = place.layers;
    const block = new Float32Array((end - first) * PARTS.length * place.count * width);
    let at = 0;
    this.#eachToken(place, (array, offset) => {
      copy(array, offset, block, at, width);
      at += width;
    });
    return block;
  }

  /** Puts what `copyOut` gave for as many tokens and the same layers into a slot. */
  copyIn(block: Float32Array, place: Place): void {
    this.version++;
    const { width } = this.shape;
    let at = 0;
    this.#eachToken(place, (array, offset) => {
      copy(block, at, array, offset, width);
      at += width;
    });
  }

  #eachToken(
    { slot, position, count, layers: [first, end] }: Place,
    visit: (array: Float32Array, offset: number) => void,
  ) {
    this.#check({ slot, end: position + count });
    for (let layer = first; layer < end; layer++) {
      for (const part of PARTS) {
        const array = this.#arrays[part][layer]!;
        for (let t = 0; t < count; t++) visit(array, this.#offset(position + t, slot));
      }
    }
  }

  #copyLayer(
    source: Slab,
    part: (typeof PARTS)[number],
    layer: number,
    { from, to, length }: { from: number; to: number; length: number },
  ): void {
    source.#check({ slot: from, end: length });
    this.#check({ slot: to, end: length });
    const [array, target] = [source.#arrays[part][layer]!, this.#arrays[part][layer]!];
    for (let position = 0; position < length; position++) {
      copy(array, source.#offset(position, from), target, this.#offset(position, to), this.shape.width);
    }
  }

  /** Arrays would ignore what is written beyond their end, and read it as nothing. */
  #check({ slot, end }: { slot: number; end: number }): void {
    if (end === 0 || (end <= this.#capacity && slot < this.slotCount)) return;
    throw new RangeError(
      `found ${this.slotCount} slots of ${this.#capacity} positions in a slab, wanted ${end} positions of slot ${slot}`,
    );
  }

  #offset(position: number, slot: number): number {
    return (position * this.slotCount + slot) * this.shape.width;
  }
}

/** What these take together. */
export const slabBytes = (slabs: readonly Slab[]): number => slabs.reduce((sum, { bytes }) => sum + bytes, 0);

type Numbers = Float32Array<ArrayBuffer>;

/** Zeros, in a buffer that may grow to `most` bytes in place. 0: it may not. */
function newArray(bytes: number, most: number): Numbers {
  if (most === 0) return new Float32Array(new ArrayBuffer(bytes));
  try {
    return new Float32Array(new ArrayBuffer(bytes, { maxByteLength: most }), 0, bytes / Float32Array.BYTES_PER_ELEMENT);
  } catch (thrown) {
    // A process may be allowed too few addresses. Then the slab moves when it grows.
    if (thrown instanceof RangeError) return newArray(bytes, 0);
    throw thrown;
  }
}

function lengthened({ buffer }: Numbers, bytes: number): Numbers {
  buffer.resize(bytes);
  return new Float32Array(buffer, 0, bytes / Float32Array.BYTES_PER_ELEMENT);
}

function movedTo(array: Numbers, bytes: number): Numbers {
  if (!array.buffer.resizable) return new Float32Array(array.buffer.transfer(bytes));
  const moved = newArray(bytes, 0);
  moved.set(array);
  letGo(array);
  return moved;
}

/** Gives the memory back at once, whenever the buffer itself may be collected. */
function letGo({ buffer }: Numbers): void {
  if (buffer.resizable) buffer.resize(0);
  else buffer.transfer(0);
}

/**
 * Copies one by one: for rows this narrow, that is several times faster than `set` on two new
 * views.
 */
function copy(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}
