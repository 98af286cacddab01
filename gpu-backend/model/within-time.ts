/**
 * Regular expressions come with models: in tokenizer.json, and in adapter_config.json. One such as
 * `(a+)+!` takes longer than anybody waits, and JavaScript has no other way to stop it.
 */
import { createContext, runInContext } from 'node:vm';

/** Sound patterns take milliseconds, even on a machine that is busy. */
const LIMIT_MS = 5000;

/** Runs `work`, which must be synchronous. Throws what `late` makes if it takes far too long. */
export function withinTime<T>(work: () => T, late: () => Error): T {
  let result: { value: T } | undefined;
  const context = createContext({
    run: () => {
      result = { value: work() };
    },
  });
  try {
    runInContext('run()', context, { timeout: LIMIT_MS });
  } catch (error) {
    // Only Node's own errors have a code.
    throw (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? late() : error;
  }
  // It returned, so it has set the result.
  return result!.value;
}
