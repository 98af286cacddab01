/** The pairs of one policy that learns from both labels. */
import { hashToUnit } from '#training/data/random.ts';
import type { Preference } from '#training/data/rows.ts';

/**
 * Half of the pairs by either label, so that the policy sees about as many pairs as an expert does.
 * A hash of the prompt decides, so all pairs of a prompt go by one label. Places would not do:
 * pairs that are balanced by length come in couples, the longer answer chosen first. In what is
 * returned, `better` is the winner by the label that counts.
 */
export function halfByEachLabel({
  safer,
  better,
}: {
  safer: readonly Preference[];
  better: readonly Preference[];
}): Preference[] {
  const bySafety = ({ prompt }: Preference) => hashToUnit(`both/${JSON.stringify(prompt)}`) < 0.5;
  return [
    ...safer.filter(bySafety).map((pair) => ({ ...pair, better: pair.safer })),
    ...better.filter((pair) => !bySafety(pair)),
  ];
}
