/**
 * Top-p (nucleus sampling, Holtzman et al., arXiv 1904.09751): keeps the largest of some
 * unnormalised probabilities, as few as it takes for their sum to reach the share `topP` of the
 * whole. The others become 0. Among equals, the lowest ids are kept. At least one token is always
 * kept.
 *
 * @param masses probabilities up to a common factor, [vocabulary]; changed in place
 * @param total their sum
 */
import { findCut } from './find-cut.ts';

export function keepNucleus(masses: Float64Array, { topP, total }: { topP: number; total: number }): void {
  const pool = new Float64Array(masses.length);
  const least = leastInNucleus(masses.length, { topP, total });
  let size = 0;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] ?? NaN;
    if (mass >= least) pool[size++] = mass;
  }
  const cut = findCut(pool, { size, wanted: topP * total, count: 'sum' });
  let room = cut.room;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] ?? NaN;
    if (!(mass > cut.value || (mass === cut.value && room-- > 0))) masses[i] = 0;
  }
}

/**
 * Masses below this are in no nucleus: all of them together are less than what the nucleus leaves
 * out. That leaves few candidates. (We halve the bound, so that rounding cannot leave a uniform row
 * without candidates.)
 */
export function leastInNucleus(tokens: number, { topP, total }: { topP: number; total: number }): number {
  return ((1 - topP) * total) / (2 * tokens);
}
