import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unpermuteRows } from './unpermute-rows.ts';

/**
 * llama.cpp's `LlamaModel.permute` in convert_hf_to_gguf.py, index by index:
 * `w.reshape(heads, 2, rows / heads / 2, width).swapaxes(1, 2).reshape(w.shape)`.
 */
function permute(data: Float32Array, { rows, heads }: { rows: number; heads: number }): Float32Array {
  const width = data.length / rows;
  const half = rows / heads / 2;
  const out: number[] = [];
  for (let head = 0; head < heads; head++) {
    for (let j = 0; j < half; j++) {
      for (let side = 0; side < 2; side++) {
        for (let column = 0; column < width; column++) out.push(data[((head * 2 + side) * half + j) * width + column]!);
      }
    }
  }
  return Float32Array.from(out);
}

test('permute is what numpy makes of twelve rows in two heads', () => {
  const rows = Float32Array.from({ length: 12 }, (_, i) => i);
  expect([...permute(rows, { rows: 12, heads: 2 })]).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
});

test('to permute and then undo it changes nothing', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 4 }),
      (heads, half, width) => {
        const rows = heads * half * 2;
        const data = Float32Array.from({ length: rows * width }, (_, i) => i);
        expect(unpermuteRows(permute(data, { rows, heads }), { rows, heads })).toEqual(data);
      },
    ),
  );
});

test('does not change what it is given', () => {
  const data = Uint8Array.of(0, 1, 2, 3);
  expect(unpermuteRows(data, { rows: 4, heads: 1 })).toEqual(Uint8Array.of(0, 2, 1, 3));
  expect(data).toEqual(Uint8Array.of(0, 1, 2, 3));
});
