/**
 * How far two judges agree beyond chance (Cohen, 1960): 1 is full agreement, 0 is what two judges
 * would reach who say yes as often as these do, but at random.
 *
 * @param table how often the first says no or yes (row), and the second (column):
 *   `[[no no, no yes], [yes no, yes yes]]`
 * @returns null if both say the same of everything, because then chance alone agrees as well
 */
export function cohenKappa([[bothNo, onlySecond], [onlyFirst, bothYes]]: readonly [
  readonly [number, number],
  readonly [number, number],
]): number | null {
  const all = bothNo + onlySecond + onlyFirst + bothYes;
  if (all === 0) return null;
  const agreed = (bothNo + bothYes) / all;
  const [firstYes, secondYes] = [(onlyFirst + bothYes) / all, (onlySecond + bothYes) / all];
  const chance = firstYes * secondYes + (1 - firstYes) * (1 - secondYes);
  return chance === 1 ? null : (agreed - chance) / (1 - chance);
}
