/**
 * The budget's cap on masses: cap-by-budget.ts without logarithms.
 *
 *     q = min(a * m, b * r),    b = exp(K - spent) / R,    a such that q sums to 1
 *
 * with m and r the masses of p~ and p_s~, and R the sum of r. The sum of q is concave in a and made
 * of straight pieces. So Newton's method from a = 1 / M, where the sum is at most 1, never passes
 * the solution, and reaches it once no further token has met its cap: after three to five sums as
 * a rule. It gives up, and leaves the step to the plain version, where masses do not say enough:
 *
 * - b is so large that it would count what a mass that no double holds may spend, and still some
 *   token exceeds its cap;
 * - all of p~'s support is at its cap, and what is not in it may be a mass that no double holds;
 * - lambda goes far up, where such masses would count;
 * - more tokens meet their caps one after another than this takes steps.
 */
import type { Recipe, Support } from './support.ts';

declare const drawable: unique symbol;

/**
 * The only thing that `drawMasses` draws from; compare drawable-distribution.ts. Only this file
 * makes one, and a test searches the sources to make sure.
 */
export type DrawableMasses = {
  readonly support: Support;
  readonly recipe: Recipe;
  readonly [drawable]: true;
};

type Cap = {
  /** The sum of m. null if only the safety expert is left. */
  mixture: number | null;
  /** The sum of r. */
  reference: number;
  /** K - spent, in nats. null is no budget. */
  natsLeft: number | null;
  /** Masses of p~ below this count as 0. */
  lost: number;
};

/**
 * Beyond this many nats in b, what b gives to masses below e^-708 might be noticed, and no double
 * holds those.
 */
const MOST_NATS = 600;
/**
 * With this many nats in b, b * r is above 1 for every r above 0 that a double holds, and b itself
 * is still finite. An infinite b would give NaN where r is 0, and a NaN exceeds nothing.
 */
const ENOUGH_NATS = 709;
/** The largest lambda, and the most that it may make of a mass that was lost. */
const MOST_LAMBDA = 1e100;
const UNNOTICED = 1e-25;
const MOST_STEPS = 50;

export function capMasses(support: Support, { mixture, reference, natsLeft, lost }: Cap): DrawableMasses | null {
  if (mixture === null || (natsLeft !== null && natsLeft <= 0)) {
    return mark(support, { kind: 'reference', b: 1 / reference });
  }
  if (natsLeft === null) return mark(support, { kind: 'mixture', a: 1 / mixture });

  const nats = natsLeft - Math.log(reference);
  const b = nats <= MOST_NATS ? Math.exp(natsLeft) / reference : Math.exp(Math.min(nats, ENOUGH_NATS));
  let a = 1 / mixture;
  let sums = support.split(a, b);
  if (sums.count === 0) return mark(support, { kind: 'mixture', a });
  if (nats > MOST_NATS && !support.cut) return null;
  for (let step = 0; step < MOST_STEPS; step++) {
    const left = 1 - b * sums.capped;
    if (sums.free === 0) return full(support, { a, b, left, reference });
    const next = left / sums.free;
    if (!(next * mixture <= MOST_LAMBDA && next * lost <= UNNOTICED)) return null;
    // Only rounding can take it back.
    if (!(next > a)) return mark(support, { kind: 'capped', a, b, fill: 0 });
    const then = support.split(next, b);
    a = next;
    if (then.count === sums.count) return mark(support, { kind: 'capped', a, b, fill: 0 });
    sums = then;
  }
  return null;
}

/** What of 1 may be missing by rounding once every token is at its cap. */
const ROUNDING = 1e-13;

/**
 * Every token of p~'s support is at its cap. The others share what is left of 1, in proportion to
 * p_s~.
 */
function full(
  support: Support,
  { a, b, left, reference }: { a: number; b: number; left: number; reference: number },
): DrawableMasses | null {
  if (left < ROUNDING) return mark(support, { kind: 'capped', a, b, fill: 0 });
  const outside = support.cut ? support.outside() : 0;
  if (outside === 0) return null;
  // In exact arithmetic they never get more than p_s~ gives them.
  return mark(support, { kind: 'capped', a, b, fill: Math.min(1 / reference, left / outside) });
}

function mark(support: Support, recipe: Recipe): DrawableMasses {
  // This is the one cast that makes the brand. The property exists only for the compiler.
  return { support, recipe } as DrawableMasses;
}
