/**
 * Whether a receipt's own numbers keep its own line. The edge asks before it ends an answer, and so
 * can anyone who has the receipt.
 */
import type { Line } from '#shared/line/line.ts';
import { lesser } from '#shared/line/order.ts';
import type { Receipt } from './receipt.ts';

/**
 * Weights and nats are sums of many small floats, so missing the line by less than this counts as
 * holding it.
 */
const TOLERANCE = 1e-6;

/** The field that shows that the line was not held, or null if it was. */
export function crossedLine({
  line,
  weights,
  spent,
  ran,
  usage,
}: Pick<Receipt, 'line' | 'weights' | 'spent' | 'ran' | 'usage'>): 'weights' | 'spent' | 'ran' | null {
  const tokens = usage.completion_tokens;
  const { min, mean, max } = weights;
  const ordered = min >= 0 && min <= mean + TOLERANCE && mean <= max + TOLERANCE && max <= 1;
  if (!ordered || (tokens > 0 && min < line.floor - TOLERANCE)) return 'weights';
  const most = boundOf(line, tokens);
  if (most !== null && (spent === null || spent > most + TOLERANCE)) return 'spent';
  return needsSafety(line) && (ran.safety ?? 0) !== tokens ? 'ran' : null;
}

/** Whether the safety expert must have been asked for every token. */
function needsSafety({ action, mode, floor, opening, budget, earned }: Line): boolean {
  // The expert must read every token, so an opening's floor holds it for the whole answer.
  const hasFloor = floor > 0 || (opening.tokens > 0 && opening.floor > 0);
  return action === 'safety_only' || mode === 'layers' || hasFloor || budget !== null || earned !== null;
}

/** The most nats that this many tokens may have spent; null if there is no bound. */
function boundOf({ budget, earned }: Line, tokens: number): number | null {
  return lesser(budget, earned && earned.start + earned.rate * tokens);
}
