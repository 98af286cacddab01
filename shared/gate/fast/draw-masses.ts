/**
 * `drawToken` for masses: the same walk through the token ids, but by blocks where it can. Which
 * token u falls on is the same as there, up to rounding: a block's sum is not added up token by
 * token from the beginning of the row, so u can fall on another side of a boundary if it is within
 * about 1e-16 of it. The order of every sum is fixed, so the same rows give the same token on every
 * machine.
 *
 * @param u uniform in [0, 1)
 */
import { GateError } from '../gate-error.ts';
import type { DrawableMasses } from './cap-masses.ts';

export function drawMasses({ support, recipe }: DrawableMasses, u: number): number {
  const { token, last, passed } = support.draw(recipe, u);
  if (token >= 0) return token;
  // q sums to 1 only up to rounding, and u fell into that gap. Anything else is a NaN.
  if (last >= 0 && u < 1 && passed > 1 - 1e-9) return last;
  throw new GateError('distribution_unusable', `probabilities sum to ${passed}, and u is ${u}`);
}
