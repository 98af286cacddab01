/**
 * Whole numbers beyond 2^53. A double does not tell them from their neighbours, and a schema is
 * read into doubles: what a client wrote is within one step of what is read.
 */
import type { Bounds } from './number-pattern.ts';

const mayBeAnother = (value: number) => !Number.isSafeInteger(value) && Math.abs(value) >= 2 ** 53;

/** Whether all numbers in a value are the ones that were written, as far as they are whole. */
export function isExact(value: unknown): boolean {
  if (typeof value === 'number') return !mayBeAnother(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
}

/** Bounds that what was written allows in any case. */
export const surelyWithin = <T extends Bounds>(bounds: T): T => stepped(bounds, 1);

/** Bounds that allow whatever was written allows. */
export const maybeWithin = <T extends Bounds>(bounds: T): T => stepped(bounds, -1);

/** @param inward 1 or -1 */
function stepped<T extends Bounds>(bounds: T, inward: number): T {
  const { least, most } = bounds;
  return {
    ...bounds,
    least: least !== null && mayBeAnother(least) ? neighbour(least, inward) : least,
    most: most !== null && mayBeAnother(most) ? neighbour(most, -inward) : most,
  };
}

/** The next double above (1) or below (-1) one that is not 0. */
function neighbour(value: number, direction: number): number {
  const double = new DataView(new ArrayBuffer(8));
  double.setFloat64(0, value);
  // As whole numbers, the bits of doubles are in the order of their sizes.
  const away = Math.sign(value) === direction;
  double.setBigInt64(0, double.getBigInt64(0) + (away ? 1n : -1n));
  return double.getFloat64(0);
}
