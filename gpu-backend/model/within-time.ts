/**
 * Regular expressions come with models: in tokenizer.json, and in adapter_config.json. One such as
 * `(a+)+!` takes longer than anybody waits, and JavaScript has no other way to stop it.
 */
import { createContext, runInContext } from 'node:vm';

/** Sound patterns take milliseconds of computing. */
const LIMIT_MS = 5000;
/** On the clock. Where a machine gives us less than a tenth of a core, nothing else works. */
const MOST_MS = 60_000;

export type TimeLimits = {
  limitMs: number;
  mostMs: number;
  /** The computing time that this thread has used, in milliseconds. */
  computed: () => number;
};

const LIMITS: TimeLimits = {
  limitMs: LIMIT_MS,
  mostMs: MOST_MS,
  computed: () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
};

/**
 * Runs `work`, which must be synchronous and may be run again. Throws what `late` makes if it
 * computes for far too long. On a busy machine the clock runs on while `work` waits for its turn,
 * so a run that was stopped before it had most of its time begins again with twice as much.
 */
export function withinTime<T>(work: () => T, late: () => Error, limits: TimeLimits = LIMITS): T {
  const { limitMs, mostMs, computed } = limits;
  for (let timeout = limitMs; ; timeout *= 2) {
    const before = computed();
    const result = runFor(work, timeout);
    if (result !== null) return result.value;
    if (computed() - before > 0.8 * limitMs || 2 * timeout > mostMs) throw late();
  }
}

/** Null if `work` was stopped after `timeout` milliseconds. */
function runFor<T>(work: () => T, timeout: number): { value: T } | null {
  let result: { value: T } | null = null;
  const context = createContext({
    run: () => {
      result = { value: work() };
    },
  });
  try {
    runInContext('run()', context, { timeout });
  } catch (error) {
    // Only Node's own errors have a code.
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return null;
    throw error;
  }
  return result;
}
