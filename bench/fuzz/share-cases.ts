/**
 * How many cases of each kind a run has. A kind whose cases take a hundred times as long gets a
 * tenth as many: fewer, because a second of it finds less, and yet far more than a hundredth,
 * because no other kind reaches what it reaches.
 */
export function shareCases<Name extends string>(
  cases: number,
  kinds: Readonly<Record<Name, { caseMs: number }>>,
): Record<Name, number> {
  // The cast: Object.entries forgets which.
  const weights = Object.entries<{ caseMs: number }>(kinds).map(
    ([name, { caseMs }]) => [name as Name, 1 / Math.sqrt(caseMs)] as const,
  );
  const sum = weights.reduce((total, [, weight]) => total + weight, 0);
  // Rounded along the running sum, so that together they are exactly as many as were asked for.
  let before = 0;
  const shares = weights.map(([name, weight]) => {
    const from = Math.round((cases * before) / sum);
    before += weight;
    return [name, Math.round((cases * before) / sum) - from] as const;
  });
  // The cast: the same names.
  return Object.fromEntries(shares) as Record<Name, number>;
}
