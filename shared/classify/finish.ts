/**
 * Runs a generator to its end and returns its result. For callers that need not let other work run
 * between slices.
 */
export function finish<T>(slices: Generator<number, T, void>): T {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}
