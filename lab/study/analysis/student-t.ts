/** Student's t distribution for a whole number of degrees of freedom. */

/**
 * P(T <= t). The finite sums of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
 * and 26.7.4.
 */
export function tDistribution(t: number, df: number): number {
  if (!Number.isInteger(df) || df < 1) {
    throw new RangeError(`degrees of freedom: found ${df}, wanted a whole number from 1 on`);
  }
  const theta = Math.atan(t / Math.sqrt(df));
  const [sin, square] = [Math.sin(theta), Math.cos(theta) ** 2];
  const odd = df % 2 === 1;
  // cos(theta) + 2/3 cos^3 + (2*4)/(3*5) cos^5 + ..., or 1 + 1/2 cos^2 + (1*3)/(2*4) cos^4 + ...
  let term = odd ? Math.cos(theta) : 1;
  let sum = 0;
  for (let power = odd ? 1 : 0; power <= df - 2; power += 2) {
    sum += term;
    term *= ((power + 1) / (power + 2)) * square;
  }
  const between = odd ? (2 / Math.PI) * (theta + sin * sum) : sin * sum; // P(-t <= T <= t)
  return 0.5 + between / 2;
}

/** The t with P(T <= t) = share, for a share strictly between 0 and 1. */
export function tQuantile(share: number, df: number): number {
  if (!(share > 0 && share < 1)) throw new RangeError(`share: found ${share}, wanted one between 0 and 1`);
  if (share === 0.5) return 0;
  if (share < 0.5) return -tQuantile(1 - share, df);
  let [low, high] = [0, 1];
  while (tDistribution(high, df) < share) high *= 2;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (tDistribution(middle, df) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
