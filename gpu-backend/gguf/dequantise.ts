/**
 * The block formats of ggml as f32 (ggml-common.h and ggml-quants.c of
 * https://github.com/ggml-org/llama.cpp). A block is a run of one row: 32 weights in the older
 * formats, 256 in the K formats. All products of a scale and a quant are exact in f64, so each
 * weight is rounded once, and equals what llama.cpp computes in f32.
 */
import { decodeHalf } from '#gpu-backend/model/half.ts';

/** `allocate` returns an array for all weights, if not a new one. */
type Dequantise = (
  bytes: Uint8Array,
  blocks: number,
  allocate?: () => Float32Array<ArrayBuffer>,
) => Float32Array<ArrayBuffer>;

const SMALL = 32;
const SUPER = 256;

/** `{f16 d; u8 qs[16]}`: w = d (q - 8). Byte j holds weight j below and weight j + 16 above. */
export const dequantiseQ4_0: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SMALL);
  const d = halves(bytes, { at: 0, stride: 18, blocks });
  for (let block = 0; block < blocks; block++) {
    const [scale, qs, y] = [d[block]!, block * 18 + 2, block * SMALL];
    for (let j = 0; j < 16; j++) {
      const byte = bytes[qs + j]!;
      out[y + j] = scale * ((byte & 15) - 8);
      out[y + j + 16] = scale * ((byte >> 4) - 8);
    }
  }
  return out;
};

/** `{f16 d; f16 m; u8 qs[16]}`: w = d q + m. */
export const dequantiseQ4_1: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SMALL);
  const d = halves(bytes, { at: 0, stride: 20, blocks });
  const m = halves(bytes, { at: 2, stride: 20, blocks });
  for (let block = 0; block < blocks; block++) {
    const [scale, min, qs, y] = [d[block]!, m[block]!, block * 20 + 4, block * SMALL];
    for (let j = 0; j < 16; j++) {
      const byte = bytes[qs + j]!;
      out[y + j] = scale * (byte & 15) + min;
      out[y + j + 16] = scale * (byte >> 4) + min;
    }
  }
  return out;
};

/** `{f16 d; u32 qh; u8 qs[16]}`: w = d (q - 16). Bit i of qh is the fifth bit of weight i. */
export const dequantiseQ5_0: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SMALL);
  const d = halves(bytes, { at: 0, stride: 22, blocks });
  for (let block = 0; block < blocks; block++) {
    const [scale, qs, y] = [d[block]!, block * 22 + 6, block * SMALL];
    const high = word(bytes, block * 22 + 2);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[qs + j]!;
      out[y + j] = scale * (((byte & 15) | (((high >>> j) & 1) << 4)) - 16);
      out[y + j + 16] = scale * (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
  return out;
};

/** `{f16 d; f16 m; u32 qh; u8 qs[16]}`: w = d q + m. */
export const dequantiseQ5_1: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SMALL);
  const d = halves(bytes, { at: 0, stride: 24, blocks });
  const m = halves(bytes, { at: 2, stride: 24, blocks });
  for (let block = 0; block < blocks; block++) {
    const [scale, min, qs, y] = [d[block]!, m[block]!, block * 24 + 8, block * SMALL];
    const high = word(bytes, block * 24 + 4);
    for (let j = 0; j < 16; j++) {
      const byte = bytes[qs + j]!;
      out[y + j] = scale * ((byte & 15) | (((high >>> j) & 1) << 4)) + min;
      out[y + j + 16] = scale * ((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) + min;
    }
  }
  return out;
};

/** `{f16 d; i8 qs[32]}`: w = d q. */
export const dequantiseQ8_0: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SMALL);
  const d = halves(bytes, { at: 0, stride: 34, blocks });
  for (let block = 0; block < blocks; block++) {
    const [scale, qs, y] = [d[block]!, block * 34 + 2, block * SMALL];
    for (let j = 0; j < SMALL; j++) out[y + j] = scale * signed(bytes[qs + j]!);
  }
  return out;
};

/**
 * `{f16 d; f16 dmin; u8 scales[12]; u8 qs[128]}`: eight groups of 32 weights, each with a scale and
 * a minimum of six bits: w = d scale q - dmin min. Two groups share 32 bytes of qs: the first has
 * the lower halves.
 */
export const dequantiseQ4_K: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SUPER);
  const d = halves(bytes, { at: 0, stride: 144, blocks });
  const dmin = halves(bytes, { at: 2, stride: 144, blocks });
  for (let block = 0; block < blocks; block++) {
    const begin = block * 144;
    for (let group = 0; group < 8; group++) {
      const scale = d[block]! * scaleOf(bytes, begin + 4, group);
      const min = dmin[block]! * minOf(bytes, begin + 4, group);
      const [qs, y, shift] = [begin + 16 + (group >> 1) * 32, block * SUPER + group * 32, (group & 1) * 4];
      for (let j = 0; j < 32; j++) out[y + j] = scale * ((bytes[qs + j]! >> shift) & 15) - min;
    }
  }
  return out;
};

/** As Q4_K, with `u8 qh[32]` before qs: bit g of byte j is the fifth bit of weight j of group g. */
export const dequantiseQ5_K: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SUPER);
  const d = halves(bytes, { at: 0, stride: 176, blocks });
  const dmin = halves(bytes, { at: 2, stride: 176, blocks });
  for (let block = 0; block < blocks; block++) {
    const begin = block * 176;
    const qh = begin + 16;
    for (let group = 0; group < 8; group++) {
      const scale = d[block]! * scaleOf(bytes, begin + 4, group);
      const min = dmin[block]! * minOf(bytes, begin + 4, group);
      const [qs, y, shift] = [begin + 48 + (group >> 1) * 32, block * SUPER + group * 32, (group & 1) * 4];
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[qs + j]! >> shift) & 15) | (((bytes[qh + j]! >> group) & 1) << 4);
        out[y + j] = scale * q - min;
      }
    }
  }
  return out;
};

/**
 * `{u8 ql[128]; u8 qh[64]; i8 scales[16]; f16 d}`: w = d scale (q - 32), with a scale for every 16
 * weights. Each half of 128 weights has 64 bytes of ql and 32 of qh. Its four runs of 32 weights
 * take the lower halves of ql, first and second 32 bytes, then the upper halves; run r takes bits
 * 2r and 2r + 1 of qh.
 */
export const dequantiseQ6_K: Dequantise = (bytes, blocks, allocate) => {
  const out = allocate?.() ?? new Float32Array(blocks * SUPER);
  const d = halves(bytes, { at: 208, stride: 210, blocks });
  for (let block = 0; block < blocks; block++) {
    const begin = block * 210;
    for (let run = 0; run < 8; run++) {
      const [half, r] = [run >> 2, run & 3];
      const ql = begin + half * 64 + (r & 1) * 32;
      const qh = begin + 128 + half * 32;
      const [shift, y] = [(r >> 1) * 4, block * SUPER + run * 32];
      for (let j = 0; j < 32; j++) {
        const scale = d[block]! * signed(bytes[begin + 192 + run * 2 + (j >> 4)]!);
        const q = ((bytes[ql + j]! >> shift) & 15) | (((bytes[qh + j]! >> (2 * r)) & 3) << 4);
        out[y + j] = scale * (q - 32);
      }
    }
  }
  return out;
};

/** The f16 at one place of every block. */
export function halves(bytes: Uint8Array, { at, stride, blocks }: { at: number; stride: number; blocks: number }) {
  const found = new Uint16Array(blocks);
  for (let block = 0; block < blocks; block++) {
    const begin = block * stride + at;
    found[block] = bytes[begin]! | (bytes[begin + 1]! << 8);
  }
  return decodeHalf(found);
}

/** A little-endian word of 32 bits, signed. */
export const word = (bytes: Uint8Array, at: number) =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

const signed = (byte: number) => (byte << 24) >> 24;

/**
 * Eight scales and eight minima of six bits in twelve bytes. Those of groups 0 to 3 are the lower
 * six bits of the first eight bytes. Those of groups 4 to 7 have their lower four bits in the last
 * four bytes, and their upper two in the upper two bits of the first eight.
 */
export function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >> 6) << 4);
}

export function minOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group + 4]! & 63;
  return (bytes[at + group + 4]! >> 4) | ((bytes[at + group]! >> 6) << 4);
}
