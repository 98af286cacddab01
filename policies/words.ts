/** Text that a policy's author writes and others read. */
import { wellFormed } from '#shared/api/well-formed.ts';

/** Long enough for a refusal with an address to turn to. */
export const Words = wellFormed.min(1).max(2000);

/**
 * The later of two texts in alphabetical order, and any text before none. A text bounds nothing, so
 * which one it is does not matter to a line. But a join must not depend on the order of its parts.
 */
export function laterText(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return a >= b ? a : b;
}
