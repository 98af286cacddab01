/**
 * The block formats of ggml as `scale * quant + minimum` per block of 32, with the file's own
 * scales, so that a quantised model is quantised only once. All of these scales and minima are
 * exact in f32: they are halves, or products of a half and six bits. So the weights are, bit for
 * bit, those that dequantise.ts computes. Q6_K is not among them: its blocks have 16 weights.
 */
import { BLOCK, type QuantisedMatrix, type QuantisedType, quantsOf } from '#gpu-backend/model/quantise.ts';
import { halves, minOf, scaleOf, word } from './dequantise.ts';

/** One block: writes 32 quants, from 0 to the format's `top`. */
type ReadQuants = (bytes: Uint8Array, quants: Uint8Array, block: number) => void;

type Format = {
  /** The largest quant. */
  top: number;
  scales: (bytes: Uint8Array, blocks: number) => { scales: Float32Array; minima: Float32Array };
  quants: ReadQuants;
};

/** Byte j holds weight j below and weight j + 16 above. */
const nibbles =
  (stride: number, at: number): ReadQuants =>
  (bytes, quants, block) => {
    const [qs, y] = [block * stride + at, block * BLOCK];
    for (let j = 0; j < 16; j++) {
      const byte = bytes[qs + j]!;
      quants[y + j] = byte & 15;
      quants[y + j + 16] = byte >> 4;
    }
  };

/** As above, and bit i of the word at `highAt` is the fifth bit of weight i. */
const fiveBits = (stride: number, at: number, highAt: number): ReadQuants => {
  const low = nibbles(stride, at);
  return (bytes, quants, block) => {
    low(bytes, quants, block);
    const [high, y] = [word(bytes, block * stride + highAt), block * BLOCK];
    for (let j = 0; j < BLOCK; j++) quants[y + j]! |= ((high >>> j) & 1) << 4;
  };
};

/** `w = d (q - middle)`. */
const centred =
  (stride: number, middle: number): Format['scales'] =>
  (bytes, blocks) => {
    const scales = halves(bytes, { at: 0, stride, blocks });
    return { scales, minima: scales.map((d) => -middle * d) };
  };

/** `w = d q + m`. */
const withMinimum =
  (stride: number): Format['scales'] =>
  (bytes, blocks) => ({
    scales: halves(bytes, { at: 0, stride, blocks }),
    minima: halves(bytes, { at: 2, stride, blocks }),
  });

/** Eight groups of 32 weights, each with `w = d scale q - dmin min`. */
const grouped =
  (stride: number): Format['scales'] =>
  (bytes, blocks) => {
    const d = halves(bytes, { at: 0, stride, blocks: blocks / 8 });
    const dmin = halves(bytes, { at: 2, stride, blocks: blocks / 8 });
    const [scales, minima] = [new Float32Array(blocks), new Float32Array(blocks)];
    for (let block = 0; block < blocks; block++) {
      const [whole, group] = [block >> 3, block & 7];
      scales[block] = d[whole]! * scaleOf(bytes, whole * stride + 4, group);
      minima[block] = -dmin[whole]! * minOf(bytes, whole * stride + 4, group);
    }
    return { scales, minima };
  };

/** Two groups share 32 bytes: the first has the lower halves. */
const groupNibbles =
  (stride: number, at: number): ReadQuants =>
  (bytes, quants, block) => {
    const [group, y] = [block & 7, block * BLOCK];
    const [qs, shift] = [(block >> 3) * stride + at + (group >> 1) * 32, (group & 1) * 4];
    for (let j = 0; j < BLOCK; j++) quants[y + j] = (bytes[qs + j]! >> shift) & 15;
  };

const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ['Q4_0', { top: 15, scales: centred(18, 8), quants: nibbles(18, 2) }],
  ['Q4_1', { top: 15, scales: withMinimum(20), quants: nibbles(20, 4) }],
  ['Q5_0', { top: 31, scales: centred(22, 16), quants: fiveBits(22, 6, 2) }],
  ['Q5_1', { top: 31, scales: withMinimum(24), quants: fiveBits(24, 8, 4) }],
  [
    'Q8_0',
    {
      top: 255,
      scales: centred(34, 128),
      quants: (bytes, quants, block) => {
        for (let j = 0; j < BLOCK; j++) quants[block * BLOCK + j] = bytes[block * 34 + 2 + j]! ^ 0x80;
      },
    },
  ],
  ['Q4_K', { top: 15, scales: grouped(144), quants: groupNibbles(144, 16) }],
  [
    'Q5_K',
    {
      top: 31,
      scales: grouped(176),
      quants: (bytes, quants, block) => {
        groupNibbles(176, 48)(bytes, quants, block);
        const [qh, group, y] = [(block >> 3) * 176 + 16, block & 7, block * BLOCK];
        for (let j = 0; j < BLOCK; j++) quants[y + j]! |= ((bytes[qh + j]! >> group) & 1) << 4;
      },
    },
  ],
]);

/**
 * How the bytes of a tensor in `dtype` become a matrix in `type` without a change of any weight;
 * undefined if the format has other blocks or needs more bits.
 *
 * @returns a function of the bytes and the number of weights
 */
export function ownBlocks(
  dtype: string,
  type: QuantisedType,
): ((bytes: Uint8Array, weights: number) => QuantisedMatrix) | undefined {
  const format = FORMATS.get(dtype);
  if (format === undefined || (type === 'int4' && format.top > 15)) return undefined;
  return (bytes, weights) => {
    const quants = new Uint8Array(weights);
    for (let block = 0; block < weights / BLOCK; block++) format.quants(bytes, quants, block);
    const { scales, minima } = format.scales(bytes, weights / BLOCK);
    const spread = spreadOf(type, format.top);
    if (spread > 1) for (let i = 0; i < quants.length; i++) quants[i]! *= spread;
    return {
      type,
      quants: quantsOf(type, quants),
      scales: Float32Array.from(scales, (scale) => scale / spread),
      minima: new Float32Array(minima),
    };
  };
}

/**
 * What to multiply quants by, so that they fill the range of their type. The fast arithmetic rounds
 * inputs, and its error grows with the distance of the quants from the middle of the range: quants
 * of 4 bits at the bottom of 8 make a model babble. A power of two changes no weight.
 */
function spreadOf(type: QuantisedType, top: number): number {
  return type === 'int8' ? 256 / (top + 1) : 1;
}
