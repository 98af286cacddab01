import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TENSOR_TYPES } from '../gguf/tensor-types.ts';
import { encodeHalf } from './half.ts';
import { BLOCK, dequantise, isQuantisable, type QuantisedType, quantise, quantisedTensors } from './quantise.ts';

const TYPES = ['int8', 'int4'] as const;
const TOP = { int8: 255, int4: 15 } as const;

/** Straight from the description of the layout, one weight at a time. */
function slowDequantise({ type, quants, scales, minima }: ReturnType<typeof quantise>): number[] {
  const weights: number[] = [];
  for (let block = 0; block < scales.length; block++) {
    for (let j = 0; j < 32; j++) {
      const byte = type === 'int8' ? quants[block * 32 + j]! : quants[block * 16 + Math.floor(j / 2)]!;
      const quant = type === 'int8' ? byte : j % 2 === 0 ? byte % 16 : Math.floor(byte / 16);
      weights.push(Math.fround(scales[block]! * quant + minima[block]!));
    }
  }
  return weights;
}

/** The plain way: the range from smallest to largest in equal steps. The error that it makes. */
function rangeError(block: readonly number[], type: QuantisedType): number {
  const minimum = Math.min(...block);
  const scale = (Math.max(...block) - minimum) / TOP[type];
  if (scale === 0) return 0;
  return sumOfSquares(block.map((w) => w - (minimum + scale * Math.round((w - minimum) / scale))));
}

const sumOfSquares = (xs: readonly number[]) => xs.reduce((sum, x) => sum + x * x, 0);
const weightsOf = (blocks: number, weight: fc.Arbitrary<number>) =>
  fc.array(weight, { minLength: blocks * BLOCK, maxLength: blocks * BLOCK }).map((xs) => Float32Array.from(xs));
const ordinary = fc.float({ min: -4, max: 4, noNaN: true });

describe.each(TYPES)('%s', (type) => {
  test('dequantises as the layout says', () => {
    fc.assert(
      fc.property(weightsOf(3, ordinary), (weights) => {
        const matrix = quantise(weights, type);
        expect(Array.from(dequantise(matrix))).toEqual(slowDequantise(matrix));
      }),
      { numRuns: 50 },
    );
  });

  test('is never further from the weights than equal steps from the smallest to the largest', () => {
    fc.assert(
      fc.property(weightsOf(1, ordinary), (weights) => {
        const back = dequantise(quantise(weights, type));
        const error = sumOfSquares(Array.from(weights, (w, i) => w - back[i]!));
        // Scale and minimum are rounded to f32 here: each weight may be off by about 4 * 2^-22.
        expect(Math.sqrt(error)).toBeLessThanOrEqual(Math.sqrt(rangeError(Array.from(weights), type)) + 1e-5);
      }),
      { numRuns: 200 },
    );
  });

  test('weights of the form scale * quant + minimum come back exactly', () => {
    const half = fc.integer({ min: 1, max: 0x7bff }).filter((bits) => bits > 0x1000 && bits < 0x4000);
    const quant = fc.integer({ min: 0, max: TOP[type] });
    const quants = fc.array(quant, { minLength: BLOCK, maxLength: BLOCK });
    fc.assert(
      fc.property(half, fc.integer({ min: -300, max: 40 }), quants, (bits, shift, qs) => {
        const scale = halfOf(bits);
        // A minimum as coarse as its scale, so that every weight is exact in f32.
        const weights = Float32Array.from(qs, (q) => scale * q + scale * shift);
        expect(dequantise(quantise(weights, type))).toEqual(weights);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['zeros', () => 0],
    ['equal weights', () => 0.3],
    ['two values', (i: number) => (i % 5 === 0 ? 0.7 : -0.1)],
    ['a single weight above all others', (i: number) => (i === 7 ? 3 : 0.25)],
    ['the smallest numbers of f32', (i: number) => (i % 2) * 2 ** -149],
  ])('%s come back exactly', (_, weight) => {
    const weights = Float32Array.from({ length: BLOCK }, (_, i) => weight(i));
    expect(dequantise(quantise(weights, type))).toEqual(weights);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (bad) => {
    const weights = new Float32Array(2 * BLOCK);
    weights[BLOCK + 3] = bad;
    expect(() => quantise(weights, type)).toThrow(`block 1: found ${bad}, wanted finite numbers`);
  });

  test('the largest numbers of f32 stay finite', () => {
    const weights = Float32Array.from({ length: BLOCK }, (_, i) => (i % 3 === 0 ? -3e38 : 1e38 * (i / 16)));
    expect(dequantise(quantise(weights, type)).every(Number.isFinite)).toBe(true);
  });

  test('names its tensors and their shapes', () => {
    const { quants, scales, minima } = quantise(new Float32Array(4 * 96), type);
    const tensors = quantisedTensors('q_proj.weight', [4, 96], type);
    expect(tensors).toEqual({
      quants: { name: 'q_proj.weight.quants', dtype: 'U8', shape: [4, 3, type === 'int8' ? 32 : 16] },
      scales: { name: 'q_proj.weight.scales', dtype: 'F32', shape: [4, 3] },
      minima: { name: 'q_proj.weight.minima', dtype: 'F32', shape: [4, 3] },
    });
    const count = (shape: number[]) => shape.reduce((a, b) => a * b, 1);
    expect([quants.length, scales.length, minima.length]).toEqual(
      [tensors.quants, tensors.scales, tensors.minima].map(({ shape }) => count(shape)),
    );
  });
});

const halfOf = (bits: number) => {
  const { decode } = [...TENSOR_TYPES.values()].find(({ name }) => name === 'F16')!;
  return decode(new Uint8Array(Uint16Array.of(bits).buffer), 1)[0]!;
};

/** Random valid blocks of GGUF's formats, dequantised: what an importer quantises again. */
function ggufWeights(name: string, { scale, minimum }: { scale: number; minimum: number | null }): Float32Array {
  const { blockBytes, decode } = [...TENSOR_TYPES.values()].find((type) => type.name === name)!;
  const blocks = 200;
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => Math.floor(random() * 256));
  for (let block = 0; block < blocks; block++) {
    const header = encodeHalf(
      Float32Array.of(scale * (0.5 + random()), ...(minimum === null ? [] : [minimum * random()])),
    );
    bytes.set(new Uint8Array(header.buffer), block * blockBytes);
  }
  return decode(bytes, blocks);
}

test.each([
  ['Q4_0', 'int4', { scale: 0.01, minimum: null }],
  ['Q4_1', 'int4', { scale: 0.01, minimum: -0.2 }],
  ['Q4_1', 'int8', { scale: 0.01, minimum: -0.2 }],
  ['Q5_0', 'int8', { scale: 0.01, minimum: null }],
  ['Q5_1', 'int8', { scale: 0.01, minimum: -0.2 }],
  ['Q8_0', 'int8', { scale: 0.001, minimum: null }],
] as const)('%s to %s loses nothing', (name, type, header) => {
  const weights = ggufWeights(name, header);
  expect(dequantise(quantise(weights, type))).toEqual(weights);
});

test.each([
  [[4, 64], true],
  [[4, 48], false],
  [[4, 0], false],
  [[64], false],
])('a tensor of shape [%s] can be quantised: %s', (shape, wanted) => {
  expect(isQuantisable(shape)).toBe(wanted);
});

test('weights of a few steps are spread over the range of quants, and stay exact', () => {
  const weights = Float32Array.from({ length: BLOCK }, (_, i) => 0.25 * (i % 16) - 1);
  const { quants, scales, minima } = quantise(weights, 'int8');
  expect([Math.min(...quants), Math.max(...quants), scales[0], minima[0]]).toEqual([0, 240, 0.25 / 16, -1]);
  expect(dequantise({ type: 'int8', quants, scales, minima })).toEqual(weights);
});

test('refuses a length that is not whole blocks', () => {
  expect(() => quantise(new Float32Array(40), 'int4')).toThrow('found 40 weights, wanted a multiple of 32');
  const matrix = quantise(new Float32Array(64), 'int4');
  expect(() => dequantise({ ...matrix, scales: new Float32Array(1) })).toThrow('found 1 scales and 2 minima');
});
