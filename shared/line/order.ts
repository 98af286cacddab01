/** Bounds and choices in the order from loose to strict. */

/** The lesser of two bounds, null standing for infinity. */
export function lesser(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

/** The one that stands later in `order`. */
export function later<T>(order: readonly T[], a: T, b: T): T {
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}
