import { interleavedRow } from './unpermute-rows.ts';

/**
 * What llama.cpp's converter does to q and k, the inverse of unpermute-rows.ts: it interleaves the
 * two halves of every head, so that the partners of a rotation are neighbours. A row may have any
 * number of elements.
 */
export function permuteRows<Rows extends Float32Array | Uint8Array>(
  data: Rows,
  { rows, heads }: { rows: number; heads: number },
): Rows {
  const width = data.length / rows;
  const headSize = rows / heads;
  const out = data.slice();
  for (let row = 0; row < rows; row++) {
    out.set(data.subarray(row * width, (row + 1) * width), interleavedRow(row, headSize) * width);
  }
  // `slice` returns the same kind of array.
  return out as Rows;
}
