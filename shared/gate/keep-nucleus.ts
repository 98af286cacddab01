/**
 * Top-p (nucleus sampling, Holtzman et al., arXiv 1904.09751): keeps the largest of some
 * unnormalised probabilities, as few as it takes for their sum to reach the share `topP` of the
 * whole. The others become 0. Among equals, the lowest ids are kept. At least one token is always
 * kept.
 *
 * @param masses probabilities up to a common factor, [vocabulary]
 * @param total their sum
 */
export function keepNucleus(masses: Float64Array, { topP, total }: { topP: number; total: number }): Float64Array {
  // Masses below (1 - topP) * total / V add up to less than 1 - topP of the whole, so the nucleus
  // needs none of them. That leaves few candidates. (We halve the bound, so that rounding cannot
  // leave a uniform row without candidates.)
  const least = ((1 - topP) * total) / (2 * masses.length);
  const candidates: number[] = [];
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] ?? NaN;
    if (mass >= least) candidates.push(mass);
  }

  const { cut, atCut } = findCut(candidates, topP * total);
  const kept = new Float64Array(masses.length);
  let room = atCut;
  for (let i = 0; i < kept.length; i++) {
    const mass = masses[i] ?? NaN;
    if (mass > cut || (mass === cut && room-- > 0)) kept[i] = mass;
  }
  return kept;
}

/**
 * The smallest mass that is kept, and how many of that size are kept. Quickselect on sums instead
 * of counts: split around some mass, and go on in the part where the sum of everything larger
 * passes `wanted`. It needs no sort and is linear on average.
 */
function findCut(masses: number[], wanted: number): { cut: number; atCut: number } {
  let pool = masses;
  let missing = wanted;
  for (;;) {
    const pivot = pool[pool.length >> 1] ?? NaN;
    const larger: number[] = [];
    const smaller: number[] = [];
    let [sumLarger, equal] = [0, 0];
    for (let i = 0; i < pool.length; i++) {
      const mass = pool[i] ?? NaN;
      if (mass > pivot) {
        larger.push(mass);
        sumLarger += mass;
      } else if (mass < pivot) smaller.push(mass);
      else equal++;
    }
    if (larger.length > 0 && sumLarger >= missing) pool = larger;
    else if (smaller.length > 0 && sumLarger + equal * pivot < missing) {
      missing -= sumLarger + equal * pivot;
      pool = smaller;
    } else return { cut: pivot, atCut: Math.max(1, Math.ceil((missing - sumLarger) / pivot)) };
  }
}
