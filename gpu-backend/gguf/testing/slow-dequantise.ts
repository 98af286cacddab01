/**
 * One weight of one block, bit by bit, from the description of the formats in ggml-common.h. It
 * shares nothing with `../dequantise.ts`, not even the decoding of halves.
 */

type BlockFormat = {
  /** The number in the file. */
  type: number;
  /** Weights in a block. */
  size: number;
  bytes: number;
  /** Where the block has its halves. */
  halves: readonly number[];
  weight: (block: Uint8Array, i: number) => number;
};

/** Nibbles of 32 weights: first the lower ones of 16 bytes, then the upper ones. */
const nibble = (block: Uint8Array, at: number, i: number) => bits(block, at + (i % 16), i < 16 ? 0 : 4, 4);
/** Bit i of a little-endian bit field. */
const bit = (block: Uint8Array, at: number, i: number) => bits(block, at + Math.floor(i / 8), i % 8, 1);

export const BLOCK_FORMATS: Readonly<Record<string, BlockFormat>> = {
  Q4_0: {
    ...{ type: 2, size: 32, bytes: 18, halves: [0] },
    weight: (block, i) => half(block, 0) * (nibble(block, 2, i) - 8),
  },
  Q4_1: {
    ...{ type: 3, size: 32, bytes: 20, halves: [0, 2] },
    weight: (block, i) => half(block, 0) * nibble(block, 4, i) + half(block, 2),
  },
  Q5_0: {
    ...{ type: 6, size: 32, bytes: 22, halves: [0] },
    weight: (block, i) => half(block, 0) * (nibble(block, 6, i) + 16 * bit(block, 2, i) - 16),
  },
  Q5_1: {
    ...{ type: 7, size: 32, bytes: 24, halves: [0, 2] },
    weight: (block, i) => half(block, 0) * (nibble(block, 8, i) + 16 * bit(block, 4, i)) + half(block, 2),
  },
  Q8_0: {
    ...{ type: 8, size: 32, bytes: 34, halves: [0] },
    weight: (block, i) => half(block, 0) * int8(block, 2 + i),
  },
  Q4_K: {
    ...{ type: 12, size: 256, bytes: 144, halves: [0, 2] },
    weight: (block, i) => {
      const [scale, min] = sixBitPair(block, 4, Math.floor(i / 32));
      return half(block, 0) * scale * nibbleOf64(block, 16, i) - half(block, 2) * min;
    },
  },
  Q5_K: {
    ...{ type: 13, size: 256, bytes: 176, halves: [0, 2] },
    weight: (block, i) => {
      const [scale, min] = sixBitPair(block, 4, Math.floor(i / 32));
      const fifth = bits(block, 16 + (i % 32), Math.floor(i / 32), 1);
      return half(block, 0) * scale * (nibbleOf64(block, 48, i) + 16 * fifth) - half(block, 2) * min;
    },
  },
  Q6_K: {
    ...{ type: 14, size: 256, bytes: 210, halves: [208] },
    weight: (block, i) => {
      const [upper, within] = [i >= 128 ? 1 : 0, i % 128];
      // 64 bytes hold the lower four bits of 128 weights: weights 0..63 in the lower nibbles.
      const low = bits(block, 64 * upper + (within % 64), within < 64 ? 0 : 4, 4);
      const high = bits(block, 128 + 32 * upper + (within % 32), 2 * Math.floor(within / 32), 2);
      return half(block, 208) * int8(block, 192 + Math.floor(i / 16)) * (low + 16 * high - 32);
    },
  },
};

export function slowDequantise(format: BlockFormat, data: Uint8Array): Float32Array {
  const out: number[] = [];
  for (let begin = 0; begin < data.length; begin += format.bytes) {
    const block = data.subarray(begin, begin + format.bytes);
    for (let i = 0; i < format.size; i++) out.push(format.weight(block, i));
  }
  return Float32Array.from(out);
}

/** Each 32 bytes hold 64 weights: 32 in the lower nibbles, then 32 in the upper ones. */
function nibbleOf64(block: Uint8Array, at: number, i: number): number {
  return bits(block, at + 32 * Math.floor(i / 64) + (i % 32), i % 64 < 32 ? 0 : 4, 4);
}

/** The six-bit scale and minimum of a group, from the twelve bytes that hold all eight pairs. */
function sixBitPair(block: Uint8Array, at: number, group: number): [scale: number, min: number] {
  if (group < 4) return [bits(block, at + group, 0, 6), bits(block, at + 4 + group, 0, 6)];
  const [scaleTop, minTop, low] = [at + group - 4, at + group, at + 4 + group];
  return [
    bits(block, low, 0, 4) + 16 * bits(block, scaleTop, 6, 2),
    bits(block, low, 4, 4) + 16 * bits(block, minTop, 6, 2),
  ];
}

function bits(block: Uint8Array, byte: number, from: number, count: number): number {
  return Math.floor(block[byte]! / 2 ** from) % 2 ** count;
}

function int8(block: Uint8Array, at: number): number {
  return block[at]! < 128 ? block[at]! : block[at]! - 256;
}

function half(block: Uint8Array, at: number): number {
  const sign = block[at + 1]! >= 128 ? -1 : 1;
  const exponent = Math.floor((block[at + 1]! % 128) / 4);
  const fraction = (block[at + 1]! % 4) * 256 + block[at]!;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
