/**
 * From logits to log-probabilities, in Float64, with the maximum taken out first so that no exponential overflows.
 *
 *     lp[i] = (x[i] - max) - log sum_j exp(x[j] - max)
 *
 * A logit of -Infinity is a masked token: its log-probability is -Infinity, its probability an exact 0. A row that is
 * empty, holds a NaN or a +Infinity, or masks every token is no distribution, and the answer is null rather than a row
 * of NaN: the type makes the caller decide what a failed expert means.
 *
 * Rows are [vocabulary]. Since the maximum goes first, adding a constant to the logits changes not one bit of the
 * result, as long as that addition was exact.
 *
 * On the loops of this folder: counting ones cost a tenth of `map` and `for of` on typed arrays, and these rows are
 * long. An index outside a row reads as NaN, and a NaN closes the gate.
 */
export function logSoftmax(logits: Float32Array | Float64Array): Float64Array | null {
  const row = new Float64Array(logits);
  const max = largest(row);
  let total = 0;
  for (let i = 0; i < row.length; i++) {
    const shifted = (row[i] ?? NaN) - max;
    row[i] = shifted;
    total += Math.exp(shifted);
  }
  // One test for every kind of unusable row: each of them leaves NaN or 0 here, and any other at least exp(0) = 1.
  if (!(total >= 1)) return null;
  // Two subtractions, because max + log(total) would round away the digits of log(total) wherever max is large.
  const logTotal = Math.log(total);
  for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? NaN) - logTotal;
  return row;
}

/** The largest number of a row: -Infinity for an empty one, NaN where there is a NaN. */
export function largest(row: Float64Array): number {
  let max = -Infinity;
  for (let i = 0; i < row.length; i++) max = Math.max(max, row[i] ?? NaN);
  return max;
}
