/**
 * Draws one token from a distribution: walks its cumulative sum in the order of token ids until it
 * passes u. The order is part of the contract. It makes the same q and the same u give the same
 * token everywhere. (An engine whose exponentials differ in the last bit can disagree only for a u
 * within that bit of a boundary.)
 *
 * It takes only a DrawableDistribution, and only the gate makes one. So a mixture that has not
 * passed the budget is a type error here.
 *
 * @param u uniform in [0, 1)
 */
import type { DrawableDistribution } from './drawable-distribution.ts';
import { GateError } from './gate-error.ts';

export function drawToken({ logprobs }: DrawableDistribution, u: number): number {
  let passed = 0;
  let last = -1;
  for (let token = 0; token < logprobs.length; token++) {
    const mass = Math.exp(logprobs[token] ?? NaN);
    if (mass > 0) last = token;
    passed += mass;
    // Strictly greater, so that a token of probability 0 is never drawn, even by u = 0.
    if (passed > u) return token;
  }
  // q sums to 1 only up to rounding, and u fell into that gap. Anything else is a NaN, in the row
  // or in u.
  if (last >= 0 && u < 1 && passed > 1 - 1e-9) return last;
  throw new GateError('distribution_unusable', `probabilities sum to ${passed}, and u is ${u}`);
}
