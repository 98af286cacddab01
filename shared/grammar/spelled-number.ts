/** The numbers that a schema leaves, where they are so few that it chooses and not the model. */
import type { Conjunction } from './conjunction.ts';

const FEW_NUMBERS = 8;
/** The smallest part of a number that `multipleOf` may name is a millionth. */
const PARTS = 1e6;

/** Those that a schema leaves, if few: none where there are many. null: it cannot be told. */
export function fewNumbers(
  { isInteger, least, most, multiplesOf }: Conjunction['number'],
  excluded: Conjunction['excluded'],
): readonly number[] | null {
  if (multiplesOf.length > 0 || isInteger) {
    const step = [...multiplesOf.map((of) => Math.round(of * PARTS)), ...(isInteger ? [PARTS] : [])].reduce(common);
    if (!Number.isSafeInteger(step)) return null;
    if (least === null || most === null) return [];
    const not = new Set(excluded.filter((value) => typeof value === 'number'));
    const first = Math.ceil((least * PARTS) / step);
    const last = Math.floor((most * PARTS) / step);
    if (last - first >= FEW_NUMBERS + not.size) return [];
    const left = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => ((first + i) * step) / PARTS);
    const values = left.filter((value) => !not.has(value));
    return values.length <= FEW_NUMBERS ? values : [];
  }
  // Between two close bounds, the first digits are theirs.
  return least !== null && most !== null && most - least < 1 ? [...new Set([least, most])] : [];
}

/** The least common multiple. */
function common(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}
