/**
 * Weights of a matrix in 8 or 4 bits. Every block of 32 neighbours in a row has a scale and a
 * minimum, and `weight = scale * quant + minimum` with quants from 0 to 255 or to 15. It is the
 * form of llama.cpp's Q4_1, and onnxruntime's MatMulNBits can multiply with it.
 *
 * Blocks that already have this form, as those of a GGUF file often do, keep their values: see
 * `findLattice`. All others get the range from smallest to largest weight, improved by least
 * squares.
 */
export type QuantisedType = 'int8' | 'int4';

/** Weights in a block. A row of the matrix is whole blocks. */
export const BLOCK = 32;

/** The largest quant. */
const TOP: Readonly<Record<QuantisedType, number>> = { int8: 255, int4: 15 };

const BLOCK_BYTES: Readonly<Record<QuantisedType, number>> = { int8: BLOCK, int4: BLOCK / 2 };

export type QuantisedMatrix = {
  type: QuantisedType;
  /**
   * `[rows, columns / 32, 32 or 16]`, row-major. In int4 a byte holds two neighbours, the first in
   * the lower half.
   */
  quants: Uint8Array<ArrayBuffer>;
  /** `[rows, columns / 32]` */
  scales: Float32Array<ArrayBuffer>;
  /** `[rows, columns / 32]`: the weight where the quant is 0. */
  minima: Float32Array<ArrayBuffer>;
};

/** Whether a tensor of this shape can be quantised: a matrix whose rows are whole blocks. */
export function isQuantisable(shape: readonly number[]): boolean {
  return shape.length === 2 && shape[1]! > 0 && shape[1]! % BLOCK === 0;
}

export type QuantisedPart = 'quants' | 'scales' | 'minima';

/** The tensors of model.safetensors that hold the quantised matrix `name`, `[rows, columns]`. */
export function quantisedTensors(
  name: string,
  [rows, columns]: readonly [rows: number, columns: number],
  type: QuantisedType,
): Record<QuantisedPart, { name: string; dtype: 'U8' | 'F32'; shape: number[] }> {
  const blocks = columns / BLOCK;
  return {
    quants: { name: `${name}.quants`, dtype: 'U8', shape: [rows, blocks, BLOCK_BYTES[type]] },
    scales: { name: `${name}.scales`, dtype: 'F32', shape: [rows, blocks] },
    minima: { name: `${name}.minima`, dtype: 'F32', shape: [rows, blocks] },
  };
}

/**
 * Quantises a matrix, or some of its rows: blocks do not know of each other.
 *
 * @param weights row-major, whole blocks. Throws if one of them is no finite number.
 */
export function quantise(weights: Float32Array, type: QuantisedType): QuantisedMatrix {
  const blocks = wholeBlocks(weights.length, BLOCK, 'weights');
  const scales = new Float32Array(blocks);
  const minima = new Float32Array(blocks);
  const quants = new Uint8Array(weights.length);
  for (let block = 0; block < blocks; block++) {
    const part = weights.subarray(block * BLOCK, (block + 1) * BLOCK);
    const { scale, minimum, quants: found } = quantiseBlock(part, TOP[type], block);
    scales[block] = scale;
    minima[block] = minimum;
    quants.set(found, block * BLOCK);
  }
  return { type, quants: quantsOf(type, quants), scales, minima };
}

/** Quants as they are stored, from one byte for each weight: in int4, two share a byte. */
export function quantsOf(type: QuantisedType, quants: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (type === 'int8') return quants;
  const packed = new Uint8Array(quants.length / 2);
  for (let i = 0; i < packed.length; i++) packed[i] = quants[2 * i]! | (quants[2 * i + 1]! << 4);
  return packed;
}

/** The weights that a quantised matrix stands for, each rounded to f32 once. */
export function dequantise({ type, quants, scales, minima }: QuantisedMatrix): Float32Array<ArrayBuffer> {
  const blocks = wholeBlocks(quants.length, BLOCK_BYTES[type], 'bytes of quants');
  if (scales.length !== blocks || minima.length !== blocks) {
    throw new Error(`found ${scales.length} scales and ${minima.length} minima, wanted ${blocks} of each`);
  }
  const weights = new Float32Array(blocks * BLOCK);
  for (let i = 0; i < weights.length; i++) {
    const block = Math.floor(i / BLOCK);
    const quant = type === 'int8' ? quants[i]! : (quants[i >> 1]! >> (4 * (i & 1))) & 15;
    weights[i] = scales[block]! * quant + minima[block]!;
  }
  return weights;
}

function wholeBlocks(length: number, block: number, what: string): number {
  if (length % block !== 0) throw new Error(`found ${length} ${what}, wanted a multiple of ${block}`);
  return length / block;
}

/** Scale and minimum are f32. */
type Block = { scale: number; minimum: number; quants: Uint8Array };

function quantiseBlock(weights: Float32Array, top: number, index: number): Block {
  let [minimum, maximum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const weight of weights) {
    if (!Number.isFinite(weight)) throw new Error(`block ${index}: found ${weight}, wanted finite numbers`);
    if (weight < minimum) minimum = weight;
    if (weight > maximum) maximum = weight;
  }
  const range = maximum - minimum;
  const constant = { scale: 0, minimum, quants: new Uint8Array(BLOCK) };
  if (range === 0) return constant;
  const lattice = findLattice(weights, { minimum, maximum, top });
  if (lattice !== null) return lattice;
  const whole = roundTo(weights, { scale: Math.fround(range / top), minimum, top });
  // A range that f32 cannot divide: subnormal weights.
  return whole.scale === 0 ? constant : refine(weights, whole, top);
}

/**
 * How far a weight may be from a lattice and still be on it, as a part of the block's largest
 * weight. Weights of the form `scale * quant + minimum` are off by roundings to f32, 2^-24 each.
 * That 32 other weights come this close to one by chance does not happen.
 */
const ON_LATTICE = 2 ** -22;

/**
 * If the weights are `scale * quant + minimum` already, finds scale, minimum and quants; null if
 * they are not. The largest weight is a whole number of steps above the smallest: tries every
 * number, from the widest steps to the narrowest. Quants then begin at 0, whatever they were
 * before.
 */
function findLattice(
  weights: Float32Array,
  { minimum, maximum, top }: { minimum: number; maximum: number; top: number },
): Block | null {
  const tolerance = ON_LATTICE * Math.max(Math.abs(minimum), Math.abs(maximum));
  for (let steps = 1; steps <= top; steps++) {
    const scale = (maximum - minimum) / steps;
    if (scale < 4 * tolerance) return null;
    let on = true;
    for (let i = 0; on && i < BLOCK; i++) {
      const above = weights[i]! - minimum;
      on = Math.abs(above - Math.round(above / scale) * scale) <= tolerance;
    }
    if (!on) continue;
    // Times a power of two, which is exact, the quants fill their range: fast arithmetic loses
    // more, the further quants are from the middle. Only the smallest scales cannot be divided.
    const wide = Math.fround(scale);
    const fine = wide / 2 ** Math.floor(Math.log2(top / steps));
    return roundTo(weights, { scale: Math.fround(fine) === fine ? fine : wide, minimum, top });
  }
  return null;
}

/** The nearest quants for this scale and minimum. */
function roundTo(weights: Float32Array, { scale, minimum, top }: { scale: number; minimum: number; top: number }) {
  const quants = new Uint8Array(BLOCK);
  for (let i = 0; i < BLOCK; i++) {
    quants[i] = Math.min(top, Math.max(0, Math.round((weights[i]! - minimum) / scale)));
  }
  return { scale, minimum, quants };
}

/** Least squares gains little after this many rounds. */
const ROUNDS = 4;

/**
 * Fits scale and minimum to the quants by least squares, then rounds to the nearest quants again,
 * as long as the sum of squared errors falls. The plain range pays for its two extreme weights with
 * a coarser step for the other thirty.
 */
function refine(weights: Float32Array, first: Block, top: number): Block {
  let best = first;
  let least = squaredError(weights, best);
  for (let round = 0; round < ROUNDS; round++) {
    const fitted = leastSquares(weights, best.quants);
    if (fitted === null) break;
    const next = roundTo(weights, { ...fitted, top });
    const error = squaredError(weights, next);
    if (error >= least) break;
    [best, least] = [next, error];
  }
  return best;
}

/** The line through the points (quant, weight); null if it does not rise. */
function leastSquares(weights: Float32Array, quants: Uint8Array): { scale: number; minimum: number } | null {
  let [sumQ, sumW, sumQQ, sumQW] = [0, 0, 0, 0];
  for (let i = 0; i < BLOCK; i++) {
    const [quant, weight] = [quants[i]!, weights[i]!];
    sumQ += quant;
    sumW += weight;
    sumQQ += quant * quant;
    sumQW += quant * weight;
  }
  const spread = BLOCK * sumQQ - sumQ * sumQ;
  const scale = Math.fround((BLOCK * sumQW - sumQ * sumW) / spread);
  if (!(scale > 0)) return null;
  return { scale, minimum: Math.fround((sumW - scale * sumQ) / BLOCK) };
}

function squaredError(weights: Float32Array, { scale, minimum, quants }: Block): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += (scale * quants[i]! + minimum - weights[i]!) ** 2;
  return sum;
}
