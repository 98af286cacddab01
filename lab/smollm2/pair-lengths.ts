/**
 * Length is a known confound: where the chosen answers of a set are mostly the longer ones (or the
 * shorter ones), a model may learn length instead of what was judged. This file measures it, and
 * balances pairs by it.
 */
import { hashToUnit } from '#training/data/random.ts';

/** The lengths of a pair's answers, in tokens. */
export type PairLengths = { chosen: number; rejected: number };

export type LengthFigures = {
  pairs: number;
  /** The share of pairs whose chosen answer is the longer one; equal lengths count half. */
  chosenLonger: number;
  /** How many pairs a judge orders right that knows nothing but which answer is the longer one. */
  lengthAlone: number;
  medianChosen: number;
  medianRejected: number;
};

/** Figures of no pairs are 0. */
export function lengthFigures(pairs: readonly PairLengths[]): LengthFigures {
  const longer = pairs.reduce((sum, pair) => sum + (1 + Math.sign(ratioOf(pair))) / 2, 0);
  const chosenLonger = pairs.length === 0 ? 0 : longer / pairs.length;
  return {
    pairs: pairs.length,
    chosenLonger,
    lengthAlone: pairs.length === 0 ? 0 : Math.max(chosenLonger, 1 - chosenLonger),
    medianChosen: median(pairs.map(({ chosen }) => chosen)),
    medianRejected: median(pairs.map(({ rejected }) => rejected)),
  };
}

/** Width of the bins of |log(chosen / rejected)|: from one bin to the next, a factor of 1.5. */
const BIN_WIDTH = Math.log(1.5);

/**
 * Leaves out pairs so that in every bin of |log(chosen / rejected)| as many pairs have the longer
 * answer chosen as have it rejected. So neither the sign of the difference nor its size tells which
 * answer was chosen.
 *
 * Returns couples: one pair of each sort, from one bin. A pair with answers of equal length comes
 * alone. Whoever takes only the first couples has a balanced set too. A hash of `seed` and the
 * pair's own `name` decides which pairs leave, who is in a couple, and the order.
 */
export function balanceByLength<T>(
  pairs: readonly T[],
  { lengths, name, seed }: { lengths: (pair: T) => PairLengths; name: (pair: T) => string; seed: string },
): T[][] {
  const bins = new Map<number, { longer: T[]; shorter: T[] }>();
  const couples: T[][] = [];
  const place = (pair: T) => hashToUnit(`${seed}/${name(pair)}`);
  for (const pair of inOrder(pairs, place)) {
    const ratio = ratioOf(lengths(pair));
    if (ratio === 0) {
      couples.push([pair]);
      continue;
    }
    const at = Math.floor(Math.abs(ratio) / BIN_WIDTH);
    const bin = bins.get(at) ?? { longer: [], shorter: [] };
    bins.set(at, bin);
    (ratio > 0 ? bin.longer : bin.shorter).push(pair);
  }
  for (const { longer, shorter } of bins.values()) {
    const count = Math.min(longer.length, shorter.length);
    for (let i = 0; i < count; i++) couples.push([longer[i]!, shorter[i]!]);
  }
  // By the last pair's place: the scarcer sort is spread over all of its bin.
  return inOrder(couples, (couple) => Math.max(...couple.map(place)));
}

/** All pairs, each alone, in the order of a hash. */
export function inRandomOrder<T>(
  pairs: readonly T[],
  { name, seed }: { name: (pair: T) => string; seed: string },
): T[][] {
  return inOrder(pairs, (pair) => hashToUnit(`${seed}/${name(pair)}`)).map((pair) => [pair]);
}

function inOrder<T>(items: readonly T[], place: (item: T) => number): T[] {
  return items
    .map((item) => ({ item, at: place(item) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

function ratioOf({ chosen, rejected }: PairLengths): number {
  return Math.log(chosen / rejected);
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
