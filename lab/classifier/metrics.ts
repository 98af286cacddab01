/**
 * Figures of merit over scores and 0/1 truths. Each is undefined, not zero, if a class is empty.
 */
export type Scored = { score: number; positive: boolean };

/** The chance that a positive scores above a negative. Ties count half (Mann-Whitney). */
export function rocAuc(rows: readonly Scored[]): number | undefined {
  const sorted = rows.toSorted((a, b) => a.score - b.score);
  const positives = rows.filter(({ positive }) => positive).length;
  const negatives = rows.length - positives;
  if (positives === 0 || negatives === 0) return undefined;
  let rankSum = 0;
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (end < sorted.length && sorted[end]!.score === sorted[start]!.score) end++;
    const meanRank = (start + 1 + end) / 2;
    for (let i = start; i < end; i++) if (sorted[i]!.positive) rankSum += meanRank;
    start = end;
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/**
 * The share of positives above the threshold that lets at most `falsePositiveRate` of the negatives
 * through.
 */
export function recallAt(
  rows: readonly Scored[],
  { falsePositiveRate }: { falsePositiveRate: number },
): number | undefined {
  const negatives = rows.filter(({ positive }) => !positive).map(({ score }) => score);
  const positives = rows.filter(({ positive }) => positive);
  if (positives.length === 0 || negatives.length === 0) return undefined;
  const threshold = negatives.sort((a, b) => b - a)[Math.floor(falsePositiveRate * negatives.length)]!;
  return positives.filter(({ score }) => score > threshold).length / positives.length;
}

/** `weight` is how much the row counts; the default is 1. */
export type Forecast = { probability: number; target: number; weight?: number };
/**
 * The rows whose probability is in one tenth of [0, 1]: their mean probability, and the share of
 * them that is true.
 */
export type ReliabilityBin = { rows: number; probability: number; target: number };

/**
 * Ten bins of equal width in rising order, without the empty ones: the points of a reliability
 * plot.
 */
export function reliabilityBins(rows: readonly Forecast[]): ReliabilityBin[] {
  return weightedBins(rows).map(({ mass: _, ...bin }) => bin);
}

function weightedBins(rows: readonly Forecast[]): (ReliabilityBin & { mass: number })[] {
  const sums = Array.from({ length: 10 }, () => ({ rows: 0, mass: 0, probability: 0, target: 0 }));
  for (const { probability, target, weight = 1 } of rows) {
    const bin = sums[Math.min(9, Math.floor(probability * 10))]!;
    bin.rows++;
    bin.mass += weight;
    bin.probability += weight * probability;
    bin.target += weight * target;
  }
  return sums
    .filter(({ mass }) => mass > 0)
    .map((bin) => ({ ...bin, probability: bin.probability / bin.mass, target: bin.target / bin.mass }));
}

/**
 * Expected calibration error: how far the mean probability of a bin is from its share of positives,
 * on average over the rows of the ten bins. Both means are weighted.
 */
export function expectedCalibrationError(rows: readonly Forecast[]): number | undefined {
  const bins = weightedBins(rows);
  if (bins.length === 0) return undefined;
  const gaps = bins.map(({ mass, probability, target }) => mass * Math.abs(probability - target));
  return gaps.reduce((sum, gap) => sum + gap, 0) / bins.reduce((sum, { mass }) => sum + mass, 0);
}
