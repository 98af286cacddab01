/**
 * Finds where to cut off the small numbers of a row, without sorting it: quickselect, in place, on
 * a count or on a sum. It splits the pool around some number and goes on in the part where what is
 * wanted is reached. That is linear on average.
 */
export type Cut = {
  /** The smallest number that is kept. */
  value: number;
  /** How many numbers of exactly this size are kept, from the lowest ids up. At least 1. */
  room: number;
};

/**
 * @param pool numbers in any order, without NaN; the first `size` are used, and get reordered
 * @param wanted how many of the largest numbers to keep, or the sum that they must reach. If all
 *   together do not reach it, all are kept.
 */
export function findCut(
  pool: Float64Array,
  { size, wanted, count }: { size: number; wanted: number; count: 'each' | 'sum' },
): Cut {
  let [from, end, missing] = [0, size, wanted];
  for (;;) {
    const pivot = pool[(from + end) >> 1] ?? NaN;
    // Larger numbers go to the front, smaller ones to the back, equal ones stay between.
    let [larger, at, smaller, sumLarger] = [from, from, end, 0];
    while (at < smaller) {
      const x = pool[at] ?? NaN;
      if (x > pivot) {
        pool[at++] = pool[larger] ?? NaN;
        pool[larger++] = x;
        sumLarger += x;
      } else if (x < pivot) {
        pool[at] = pool[--smaller] ?? NaN;
        pool[smaller] = x;
      } else at++;
    }
    const equal = smaller - larger;
    const above = count === 'sum' ? sumLarger : larger - from;
    const here = count === 'sum' ? equal * pivot : equal;
    if (larger > from && above >= missing) end = larger;
    else if (smaller < end && above + here < missing) {
      missing -= above + here;
      from = smaller;
    } else {
      const each = count === 'sum' ? pivot : 1;
      return { value: pivot, room: Math.max(1, Math.ceil((missing - above) / each)) };
    }
  }
}
