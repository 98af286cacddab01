import type { ExpertRow, ExpertStart } from '#shared/protocol/expert-messages.ts';

/**
 * The safety expert's share that the model proposes for a token. With a router, each backend has
 * computed its half of the first layer. NaN, which closes the gate, if a half is missing.
 */
export function propose(
  proposal: ExpertStart['proposal'],
  safety: Pick<ExpertRow, 'half'>,
  helpful: Pick<ExpertRow, 'half'> | null,
): number {
  if (typeof proposal === 'number') return proposal;
  const { bias, out, c } = proposal;
  if (helpful === null || safety.half.length !== bias.length || helpful.half.length !== bias.length) return Number.NaN;
  let logit = c;
  for (const [unit, own] of bias.entries()) {
    const x = own + (safety.half[unit] ?? Number.NaN) + (helpful.half[unit] ?? Number.NaN);
    logit += (out[unit] ?? Number.NaN) * (x * sigmoid(x));
  }
  return sigmoid(logit);
}

/** Exact at both ends: exp overflows to infinity, and 1 / infinity is 0. */
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
