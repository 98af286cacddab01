/** Bounds and choices, ordered from loose to strict. */

/** The lesser of two bounds. null is infinity. */
export function lesser(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

/** Whichever of the two comes later in `order`. */
export function later<T>(order: readonly T[], a: T, b: T): T {
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}
