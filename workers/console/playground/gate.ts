/** What the gate did at one token, read from its numbers. */
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';

/** Weights are 32-bit floats on their way here. */
const SAME = 1e-6;

export function gateWords({ weight, floor }: Pick<TokenTrace, 'weight' | 'floor'>): string {
  if (isAlone({ weight })) return 'The safety expert drew alone.';
  if (weight <= floor + SAME && floor > 0) {
    return 'The router asked for no more safety than the floor. The floor held.';
  }
  return 'The router’s own proposal, within the line.';
}

/** Then the helpfulness expert need not be asked at all. */
export const isAlone = ({ weight }: Pick<TokenTrace, 'weight'>) => weight >= 1 - SAME;

/** What this token alone has spent, in nats. null: not known. */
export function spentBy(tokens: readonly TokenTrace[], index: number): number | null {
  const now = tokens[index]?.spent ?? null;
  const before = index === 0 ? 0 : (tokens[index - 1]?.spent ?? null);
  return now === null || before === null ? null : now - before;
}

/** A token of which the budget pays more than this, in nats, is twice as likely as it would be. */
const COSTLY = Math.LN2;

export const isCostly = (tokens: readonly TokenTrace[], index: number) => (spentBy(tokens, index) ?? 0) > COSTLY;
