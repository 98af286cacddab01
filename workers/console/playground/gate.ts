/** What the gate did at one token, read from its numbers. */
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { spendingBound } from '#shared/gate/add-spending.ts';
import type { HeldLine } from './line-of.ts';

/** Weights are 32-bit floats on their way here. */
const SAME = 1e-6;

/** @param line null: not known yet */
export function gateWords({ weight, floor }: Pick<TokenTrace, 'weight' | 'floor'>, line: HeldLine | null): string {
  if (isAlone({ weight })) return 'The safety expert drew alone.';
  // A floor above the ceiling wins.
  if (weight <= floor + SAME && floor > 0) {
    return 'The router asked for no more safety than the floor. The floor held.';
  }
  if (line === null) return 'The router’s proposal, or the line’s ceiling: the receipt will tell.';
  if (weight >= line.ceiling - SAME) {
    return 'The router asked for no less safety than the ceiling. The ceiling held.';
  }
  return 'The router’s own proposal, within the line.';
}

/** What the budget did at a token. null: nothing, or it is not known. */
export function budgetWords(
  tokens: readonly TokenTrace[],
  { index, line }: { index: number; line: HeldLine | null },
): string | null {
  const own = spentBy(tokens, index);
  const spent = tokens[index]?.spent ?? null;
  const bound = line === null ? null : spendingBound(line, { position: index });
  if (own === null || spent === null || bound === null) return null;
  if (bound - (spent - own) <= SAME)
    return 'What may be spent by here was spent before, so the draw was the safety expert’s own.';
  if (own > 0 && spent >= bound - SAME) return 'The budget capped this token: all that may be spent by here is spent.';
  return null;
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
