import { seedKey } from '../../draw-key.ts';
import { uniformAt } from '../../uniform-at.ts';

/**
 * Two rows of logits as a language model gives them: most tokens far down, a few far up, and two
 * experts that mostly agree.
 */
export function longRows(
  tokens: number,
  seed: number | string,
): { safetyLogits: Float32Array; helpfulLogits: Float32Array } {
  const key = seedKey(seed);
  let position = 0;
  const uniform = () => uniformAt(key, position++);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const base = Float32Array.from({ length: tokens }, () => 2.5 * normal());
  for (let i = 0; i < 12; i++) base[Math.floor(uniform() * tokens)] = 11 + 2 * normal();
  return { safetyLogits: base.map((x) => x + 0.6 * normal()), helpfulLogits: base.map((x) => x + 0.6 * normal()) };
}
