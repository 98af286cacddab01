/**
 * What `promise` comes to, or, if that takes longer than `ms`, what `late` gives or throws. The promise goes on; whoever
 * made it ends it.
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
