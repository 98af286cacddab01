/**
 * Undoes what llama.cpp's converter does to q and k. RoPE rotates pairs of numbers in each head.
 * In Hugging Face's layout the partners are half a head apart: rows j and j + size / 2. In
 * llama.cpp's they are neighbours: rows 2j and 2j + 1. So its converter interleaves the two halves
 * of every head. A row may have any number of elements: the weights, the bytes of its blocks, or
 * the one number of a bias.
 */
export function unpermuteRows<Rows extends Float32Array | Uint8Array>(
  data: Rows,
  { rows, heads }: { rows: number; heads: number },
): Rows {
  const width = data.length / rows;
  const headSize = rows / heads;
  const out = data.slice();
  for (let row = 0; row < rows; row++) {
    const from = interleavedRow(row, headSize);
    out.set(data.subarray(from * width, (from + 1) * width), row * width);
  }
  // `slice` returns the same kind of array.
  return out as Rows;
}

/** Where llama.cpp has a row of Hugging Face's layout. `headSize` is in rows. */
export function interleavedRow(row: number, headSize: number): number {
  const inHead = row % headSize;
  return row - inHead + (inHead % (headSize / 2)) * 2 + Math.floor(inHead / (headSize / 2));
}
