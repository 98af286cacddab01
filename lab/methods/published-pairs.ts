/** The pairs that MidPO's published code trains its safety expert on. */
import type { Preference } from '#training/data/rows.ts';
import type { SplitPairs } from '#training/stages/preference-data.ts';

/**
 * Only the pairs of one safe and one unsafe answer, by their labels. Pairs without both labels are
 * left out. Throws if a side has no such pair.
 */
export function oneSafeOneUnsafe({ train, heldOut }: SplitPairs): SplitPairs {
  const kept = (pairs: readonly Preference[], side: string) => {
    const found = pairs.filter(({ safe = [null, null] }) => safe.includes(true) && safe.includes(false));
    if (found.length > 0) return found;
    throw new Error(
      `the published safety expert: of ${pairs.length} pairs ${side} none has one safe and one unsafe answer by its labels (safe_0, safe_1), wanted one or more`,
    );
  };
  return { train: kept(train, 'to train on'), heldOut: kept(heldOut, 'held out') };
}
