/**
 * Runs one piece of work at a time. While a Durable Object waits for another object, the runtime
 * lets further calls in, so a change that asks the index in its middle needs this.
 */
export type Exclusive = <T>(work: () => Promise<T>) => Promise<T>;

export function createExclusive(): Exclusive {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}
