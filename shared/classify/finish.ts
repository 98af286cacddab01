/** What a generator comes to: work in slices, for those who hold nobody up. */
export function finish<T>(slices: Generator<number, T, void>): T {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}
