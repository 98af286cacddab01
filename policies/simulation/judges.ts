/**
 * Whose heads judge the answers of a simulation. Scores of two sets of heads cannot be compared, so
 * a run keeps to the one that it began with.
 */
import type { Compared } from './outcome.ts';

export type Judges = {
  /** Whether the model turned out to have no heads. */
  readonly areNone: boolean;
  /**
   * Call this with the bundle of each score; null: the model has no heads. undefined says nothing.
   * Throws if it is another one than before.
   */
  accept(bundle: string | null | undefined): void;
};

/**
 * @param done what there are results of already
 * @param options.name whose scores an error is about, such as the file of results
 * @param options.remedy what an error tells people to do
 */
export function judgesOf(
  done: ReadonlyMap<number, Compared>,
  { name, remedy }: { name: string; remedy: string },
): Judges {
  let bundle: string | null | undefined;
  const accept: Judges['accept'] = (found) => {
    if (found === undefined) return;
    if (bundle === undefined) bundle = found;
    if (bundle === found) return;
    const now = found === null ? 'the model has none' : `those of the bundle ${found} judge`;
    throw new Error(`${name}: its scores are by the heads of the bundle ${bundle}, and now ${now}; ${remedy}`);
  };
  for (const { before, after } of done.values()) {
    for (const { scores } of [before, after]) accept(scores?.bundle);
  }
  return {
    get areNone() {
      return bundle === null;
    },
    accept,
  };
}
