/**
 * Solves the budget for lambda: sum min(lambda * p, cap) = 1. It works in logarithms from end to
 * end, because lambda can be larger than any double, and p smaller.
 *
 * Token i reaches its cap at log lambda = logCap[i] - logP[i], its level. Below that it is free and
 * holds lambda * p[i]. We run quickselect over the levels. At each level, the sum tells on which
 * side the solution lies, and that settles the tokens on the other side. Tokens settled at their
 * cap are added up as masses, and tokens settled as free are added up as a log-sum-exp. Once all
 * are settled, lambda scales the free tokens to fill the rest of 1. This needs no sort, is linear
 * on average, and never takes a pass per token, however the masses are spread.
 */
type Lambda = {
  /**
   * log(lambda * p) is (log p - anchor) + level, in this order. The tokens that matter are close to
   * the anchor, where the difference is exact. A bare log lambda of 1e9 would have its last digit
   * at 1e-7.
   */
  anchor: number;
  level: number;
};

/**
 * A sum of exponentials, as exp(max) * sum. Whatever their size, they neither overflow it nor
 * vanish from it.
 */
type LogSum = { max: number; sum: number };

/** Beyond this, a level has lost digits that matter in a sum of probabilities. */
const FAR = 64;

/**
 * @param logP log p, [vocabulary]
 * @param logCap log of the most that each token may have, at most 0, [vocabulary]
 * @returns null if no lambda reaches 1: all of p's support is at its cap, and there is still room
 */
export function solveLambda(logP: Float64Array, logCap: Float64Array): Lambda | null {
  const first = solve(logP, logCap, { anchor: 0, level: 0 });
  if (!first || Math.abs(first.top) <= FAR) return first && { anchor: 0, level: first.rest - first.top };
  // We solve again with the likeliest free token as the anchor, where no digit is lost. This is
  // rare, because such masses are rare.
  const anchor = first.top;
  const second = solve(logP, logCap, { anchor, level: first.rest });
  return second && { anchor, level: second.rest - second.top };
}

/**
 * @param guess a level to begin with
 * @returns for the free tokens: the largest log p - anchor, and the level that takes *it* to its
 *   share of 1. They are separate because their difference, the level of all tokens, may be far
 *   from 0.
 */
function solve(logP: Float64Array, logCap: Float64Array, guess: Lambda): { top: number; rest: number } | null {
  const { anchor } = guess;
  let pool = new Int32Array(logP.length);
  let spare = new Int32Array(logP.length);
  let size = 0;
  for (let i = 0; i < logP.length; i++) {
    // With probability 0 or cap 0, a token holds nothing at any lambda.
    if ((logP[i] ?? NaN) > -Infinity && (logCap[i] ?? NaN) > -Infinity) pool[size++] = i;
  }

  let free: LogSum = { max: -Infinity, sum: 0 };
  let capped = 0;
  let lowest = -Infinity;
  for (let level = guess.level; size > 0; level = levelOf(pool[size >> 1] ?? NaN)) {
    // Tokens with a lower level are written from the front, tokens with a higher level from the
    // back. The remaining tokens are at exactly this level.
    let [lower, higher] = [0, size];
    let atCap = 0;
    const above: LogSum = { max: free.max, sum: free.sum };
    const here: LogSum = { max: -Infinity, sum: 0 };
    for (let k = 0; k < size; k++) {
      const i = pool[k] ?? NaN;
      const most = logCap[i] ?? NaN;
      const mass = (logP[i] ?? NaN) - anchor;
      const own = most - mass;
      if (own > level) {
        spare[--higher] = i;
        add(above, mass);
      } else {
        atCap += Math.exp(most);
        if (own < level) spare[lower++] = i;
        else add(here, mass);
      }
    }
    const reached = capped + atCap + Math.exp(level + above.max) * above.sum;
    [pool, spare] = [spare, pool];
    if (reached >= 1) {
      if (here.sum > 0) add(above, here.max, here.sum);
      free = above;
      size = lower;
    } else {
      capped += atCap;
      lowest = level;
      pool.copyWithin(0, higher, size);
      size -= higher;
    }
  }
  if (free.sum === 0) return null;
  // If rounding leaves too little of 1, or nothing, take the level at which the sum was seen to be
  // below 1.
  const rest = Math.log(Math.max(0, 1 - capped)) - Math.log(free.sum);
  return { top: free.max, rest: Math.max(rest, lowest + free.max) };

  function levelOf(i: number): number {
    return (logCap[i] ?? NaN) - ((logP[i] ?? NaN) - anchor);
  }
}

/** Adds sum * exp(log). */
function add(to: LogSum, log: number, sum = 1): void {
  if (log <= to.max) to.sum += Math.exp(log - to.max) * sum;
  else {
    to.sum = to.sum * Math.exp(to.max - log) + sum;
    to.max = log;
  }
}
