/** The line through points with the least squares of distances, and how sure its slope is. */
export type Line = {
  slope: number;
  intercept: number;
  /** The standard error of the slope. 0 if the points are on a line. */
  slopeError: number;
};

/** Throws with fewer than three points, or if all have the same x. */
export function leastSquares(points: readonly { x: number; y: number }[]): Line {
  const n = points.length;
  const mean = (of: (point: { x: number; y: number }) => number) => points.reduce((sum, one) => sum + of(one), 0) / n;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0);
  if (n < 3 || spread === 0) throw new Error(`a line through ${n} points: wanted three, at different places`);
  const slope = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread;
  const intercept = y - slope * x;
  const squares = points.reduce((sum, point) => sum + (point.y - intercept - slope * point.x) ** 2, 0);
  return { slope, intercept, slopeError: Math.sqrt(squares / (n - 2) / spread) };
}
