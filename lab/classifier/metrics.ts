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

export type Forecast = { probability: number; target: number };
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
  const sums = Array.from({ length: 10 }, () => ({ rows: 0, probability: 0, target: 0 }));
  for (const { probability, target } of rows) {
    const bin = sums[Math.min(9, Math.floor(probability * 10))]!;
    bin.rows++;
    bin.probability += probability;
    bin.target += target;
  }
  return sums
    .filter((bin) => bin.rows > 0)
    .map((bin) => ({ rows: bin.rows, probability: bin.probability / bin.rows, target: bin.target / bin.rows }));
}

/**
 * Expected calibration error: how far the mean probability of a bin is from its share of positives,
 * on average over the rows of the ten bins.
 */
export function expectedCalibrationError(rows: readonly Forecast[]): number | undefined {
  if (rows.length === 0) return undefined;
  const gaps = reliabilityBins(rows).map((bin) => bin.rows * Math.abs(bin.probability - bin.target));
  return gaps.reduce((sum, gap) => sum + gap, 0) / rows.length;
}
