/**
 * Converts between Hugging Face's `[out, in]` linear weights and the `[in, out]` that MatMul reads.
 * The conversion is its own inverse.
 */
import { EMBEDDING_WEIGHT } from './table-names.ts';

/** Embeddings and norms keep their layout. Everything else of rank 2 is a linear weight. */
export function isLinear(name: string, shape: readonly number[]): boolean {
  return shape.length === 2 && name !== EMBEDDING_WEIGHT;
}

export function transposeMatrix(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j]!;
  }
  return out;
}

type Tensor = { shape: readonly number[]; data: Float32Array };

export function transposeLinear<T extends Tensor>(name: string, tensor: T): Tensor {
  if (!isLinear(name, tensor.shape)) return tensor;
  // isLinear says that it is a matrix.
  const [rows, columns] = tensor.shape as [number, number];
  return { shape: [columns, rows], data: transposeMatrix(tensor.data, rows, columns) };
}
