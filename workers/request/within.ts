/**
 * Returns what `promise` resolves to. If that takes longer than `ms`, calls `late` and returns or
 * throws what `late` does. The promise itself goes on; whoever made it has to end it.
 */
export async function within<T>(ms: number, promise: Promise<T>, late: () => T): Promise<T> {
  const tooLong = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => tooLong.resolve('late'), Math.max(0, ms));
  try {
    const first = await Promise.race([promise.then((value) => ({ value })), tooLong.promise]);
    return first === 'late' ? late() : first.value;
  } finally {
    clearTimeout(timer);
  }
}
