import { shapeDistribution } from '#shared/gate/shape-distribution.ts';

/** The row as it is sampled. Throws if nothing of it is left. */
export function shaped(row: Float64Array, shape: Parameters<typeof shapeDistribution>[1]): Float64Array {
  const found = shapeDistribution(row, shape);
  if (!found) throw new Error('an expert leaves no token to draw');
  return found;
}
