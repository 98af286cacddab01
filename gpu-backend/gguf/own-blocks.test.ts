import { describe, expect, test } from 'vitest';
import { dequantise } from '#gpu-backend/model/quantise.ts';
import reference from './fixtures/gguf-py-blocks.json' with { type: 'json' };
import { ownBlocks } from './own-blocks.ts';
import { BLOCK_FORMATS, slowDequantise } from './testing/slow-dequantise.ts';

/** Random blocks with finite scales. */
function randomBlocks({ bytes, halves }: (typeof BLOCK_FORMATS)[string], blocks: number): Uint8Array {
  const out = Uint8Array.from({ length: blocks * bytes }, () => Math.floor(256 * Math.random()));
  // Exponents below 16 of 31.
  for (let block = 0; block < blocks; block++) for (const at of halves) out[block * bytes + at + 1]! &= 0xbf;
  return out;
}

/** To the bit, but 0 is -0. */
const equal = (found: Float32Array, wanted: Float32Array) =>
  found.length === wanted.length && found.every((weight, i) => weight === wanted[i]);

const SAME = { int4: ['Q4_0', 'Q4_1', 'Q4_K'], int8: ['Q4_0', 'Q4_1', 'Q4_K', 'Q5_0', 'Q5_1', 'Q5_K', 'Q8_0'] };

describe.each(['int4', 'int8'] as const)('%s', (type) => {
  test.each(SAME[type])('holds the weights of %s as they are, to the bit', (name) => {
    const format = BLOCK_FORMATS[name]!;
    const read = ownBlocks(name, type)!;
    const { blocks, values } = reference[name as keyof typeof reference];
    const stored = Uint8Array.from(Buffer.from(blocks, 'base64'));
    const wanted = new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer);
    expect(equal(dequantise(read(stored, wanted.length)), wanted)).toBe(true);
    const random = randomBlocks(format, 50);
    const matrix = read(random, 50 * format.size);
    expect(matrix.type).toBe(type);
    expect(equal(dequantise(matrix), slowDequantise(format, random))).toBe(true);
  });

  test('is not for formats with other blocks, or with more bits than it has', () => {
    const others = [...Object.keys(BLOCK_FORMATS), 'F32', 'BF16'].filter((name) => !SAME[type].includes(name));
    expect(others.map((name) => ownBlocks(name, type))).toEqual(others.map(() => undefined));
    expect(others).toContain('Q6_K');
  });
});
