/**
 * The kernel's functions and its memory. One kernel serves any number of answers, one step after
 * another: nothing in it outlives a step. Its memory grows to the largest vocabulary that it meets
 * and is used again for every token.
 */
import { KERNEL_BASE64 } from './kernel-bytes.ts';

/** Tokens in a block; see kernel.as. */
export const BLOCK = 64;

const PAGE_BYTES = 65_536;
// What `#allocate` places: two float32, two float64 and two lists of an id and a float64 per token;
// six float64, two counts and two words per block; less than 1 KB for alignment and the lists' last
// entries.
const TOKEN_BYTES = 2 * 4 + 2 * 8 + 2 * 12;
const BLOCK_BYTES = 6 * 8 + 2 * 4 + 2 * 4;
const SLACK_BYTES = 1024;

/** The functions of kernel.as, where they are described. Places in memory are in bytes. */
type Functions = {
  memory: { buffer: ArrayBuffer; grow(pages: number): number };
  heapBase(): number;
  largest(x: number, blocks: number): number;
  masses(x: number, out: number, sums: number, tops: number, blocks: number, most: number, scale: number): void;
  twoMasses(
    x: number,
    y: number,
    outX: number,
    sumsX: number,
    topsX: number,
    out: number,
    sums: number,
    tops: number,
    blocks: number,
    mostX: number,
    mostY: number,
    scaleX: number,
    partX: number,
    partY: number,
  ): void;
  measure(row: number, sums: number, tops: number, blocks: number): void;
  blend(row: number, other: number, blocks: number, a: number, b: number): void;
  heat(row: number, blocks: number, top: number, scale: number): void;
  allow(row: number, sums: number, tops: number, blocks: number, words: number): void;
  split(m: number, r: number, free: number, capped: number, over: number, blocks: number, a: number, b: number): number;
  splitAgain(
    m: number,
    r: number,
    free: number,
    capped: number,
    over: number,
    moving: number,
    blocks: number,
    a: number,
    b: number,
    until: number,
    all: boolean,
  ): number;
  collect(row: number, tops: number, blocks: number, least: number, ids: number, kept: number): number;
  topsWithin(row: number, x: number, tops: number, blocks: number, most: number, least: number): void;
  roughSum(x: number, blocks: number, most: number): number;
};

/** An array in the kernel's memory, and where it begins. */
type Placed<A> = { readonly at: number; readonly array: A };

/** Unnormalised probabilities, [vocabulary], with the sum and the largest of each block. */
export type MassRow = {
  readonly masses: Placed<Float64Array>;
  readonly sums: Placed<Float64Array>;
  readonly tops: Placed<Float64Array>;
};

/** The tokens that a cut leaves: their ids, ascending, and their masses, [vocabulary] at most. */
export type KeptList = { readonly ids: Placed<Int32Array>; readonly kept: Placed<Float64Array> };

/** Everything that a step needs, for vocabularies of up to `blocks` blocks. */
export type Arrays = {
  readonly blocks: number;
  /** Logits, padded with -Infinity to whole blocks. */
  readonly safety: Placed<Float32Array>;
  readonly beside: Placed<Float32Array>;
  readonly mixture: MassRow;
  readonly reference: MassRow;
  readonly mixtureList: KeptList;
  readonly referenceList: KeptList;
  /** Per block; see `split` and `splitAgain`. */
  readonly free: Placed<Float64Array>;
  readonly capped: Placed<Float64Array>;
  readonly over: Placed<Int32Array>;
  readonly moving: Placed<Int32Array>;
  /** The allowed tokens, a bit each. */
  readonly words: Placed<Uint32Array>;
};

export class Kernel {
  readonly run: Functions;
  #arrays: Arrays | null = null;

  constructor(run: Functions) {
    this.run = run;
  }

  /** The arrays for a vocabulary. They are valid until this is called for a larger one. */
  arraysFor(tokens: number): Arrays {
    const blocks = Math.ceil(tokens / BLOCK);
    if (!this.#arrays || this.#arrays.blocks < blocks) this.#arrays = this.#allocate(blocks);
    return this.#arrays;
  }

  #allocate(blocks: number): Arrays {
    const tokens = blocks * BLOCK;
    const { memory } = this.run;
    let end = this.run.heapBase();
    const missing = end + tokens * TOKEN_BYTES + blocks * BLOCK_BYTES + SLACK_BYTES - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
    const { buffer } = memory;
    const place = (bytes: number): number => {
      const at = Math.ceil(end / 16) * 16;
      end = at + bytes;
      return at;
    };
    const f32 = (n: number, at = place(4 * n)) => ({ at, array: new Float32Array(buffer, at, n) });
    const f64 = (n: number, at = place(8 * n)) => ({ at, array: new Float64Array(buffer, at, n) });
    const i32 = (n: number, at = place(4 * n)) => ({ at, array: new Int32Array(buffer, at, n) });
    const u32 = (n: number, at = place(4 * n)) => ({ at, array: new Uint32Array(buffer, at, n) });
    const row = () => ({ masses: f64(tokens), sums: f64(blocks), tops: f64(blocks) });
    // `collect` writes one entry more than it keeps.
    const list = () => ({ ids: i32(tokens + 1), kept: f64(tokens + 1) });
    return {
      blocks,
      safety: f32(tokens),
      beside: f32(tokens),
      mixture: row(),
      reference: row(),
      mixtureList: list(),
      referenceList: list(),
      free: f64(blocks),
      capped: f64(blocks),
      over: i32(blocks),
      moving: i32(blocks),
      words: u32(2 * blocks),
    };
  }
}

/**
 * Compiles the kernel, in about a millisecond. null where WebAssembly with vectors is missing or
 * may not be compiled from bytes, as in Cloudflare's Workers.
 */
export function loadKernel(): Kernel | null {
  try {
    const binary = atob(KERNEL_BASE64.replaceAll('\n', ''));
    const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
    // The Workers' types have no constructors here, since workerd has none. It throws.
    const { Module, Instance } = WebAssembly as unknown as {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object, imports: object) => { exports: Functions };
    };
    return new Kernel(new Instance(new Module(bytes), {}).exports);
  } catch {
    return null;
  }
}
