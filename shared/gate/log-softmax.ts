/**
 * From logits to log-probabilities, in Float64. The maximum is taken out first, so that no
 * exponential overflows.
 *
 *     lp[i] = (x[i] - max) - log sum_j exp(x[j] - max)
 *
 * A logit of -Infinity is a masked token: its log-probability is -Infinity, its probability exactly
 * 0. A row that is empty, holds a NaN or a +Infinity, or masks every token is not a distribution.
 * Then the result is null instead of a row of NaN: the type makes the caller decide what a failed
 * expert means.
 *
 * Rows are [vocabulary]. Since the maximum goes first, adding a constant to the logits does not
 * change one bit of the result, as long as the addition was exact.
 *
 * A note on this folder's loops: on typed arrays, a counting loop costs a tenth of `map` or `for
 * of`, and these rows are long. An index outside a row reads as NaN, and a NaN closes the gate.
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
  // This one test catches every kind of unusable row. Each of them leaves NaN or 0 here; any other
  // row leaves at least exp(0) = 1.
  if (!(total >= 1)) return null;
  // We subtract twice, because max + log(total) would round away the digits of log(total) if max is
  // large.
  const logTotal = Math.log(total);
  for (let i = 0; i < row.length; i++) row[i] = (row[i] ?? NaN) - logTotal;
  return row;
}

/** The largest number in a row. -Infinity for an empty row, NaN if it holds a NaN. */
export function largest(row: Float64Array): number {
  let max = -Infinity;
  for (let i = 0; i < row.length; i++) max = Math.max(max, row[i] ?? NaN);
  return max;
}
