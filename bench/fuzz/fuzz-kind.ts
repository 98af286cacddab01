/** One kind of input that the fuzz makes up, and what must hold for all of it. */
import * as fc from 'fast-check';

/** A case that takes longer hangs. A shutdown or a slow machine never takes as long. */
const HANG_MS = 120_000;

type CaseOptions = { cases: number; seed: number; onCase?: () => void };
type FuzzResult = {
  cases: number;
  /** How often each outcome came: a fuzz that only ever saw one has tested little. */
  outcomes: Record<string, number>;
  /** null if all held; else the smallest case that fails, and how to run it again. */
  failure: string | null;
};

/** A kind that is ready: what it needs runs. */
export type OpenKind = { run(options: CaseOptions): Promise<FuzzResult>; close(): Promise<void> };
export type FuzzKind = () => Promise<OpenKind>;

/**
 * A kind from its inputs and its law.
 *
 * @param holds throws if the case breaks the law; else names its outcome
 * @param close frees what the kind has started
 */
export function openKind<T>(
  inputs: fc.Arbitrary<T>,
  holds: (input: T) => Promise<string>,
  close: () => Promise<void> = async () => {},
): OpenKind {
  return {
    async run({ cases, seed, onCase = () => {} }) {
      const outcomes: Record<string, number> = {};
      const property = fc.asyncProperty(inputs, async (input) => {
        onCase();
        const outcome = await holds(input);
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      });
      const details = await fc.check(property, { numRuns: cases, seed, timeout: HANG_MS });
      const why = details.errorInstance instanceof Error ? details.errorInstance.message : 'no case ran';
      const failure = details.failed ? `${why}\n${fc.defaultReportMessage(details) ?? ''}` : null;
      return { cases: details.numRuns, outcomes, failure };
    },
    close,
  };
}
