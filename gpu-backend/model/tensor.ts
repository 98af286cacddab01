/** A weight in memory: row-major f32, whatever its type on disk. */
export type Tensor = { shape: number[]; data: Float32Array };

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
