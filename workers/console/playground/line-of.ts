/** The line of an answer, read off its receipt. Whether that is genuine, another part checks. */
import type { Line } from '#shared/line/line.ts';

export type HeldLine = Pick<Line, 'ceiling' | 'budget' | 'earned'>;

/** null: there is no answer's receipt, or it says nothing of a line. */
export function lineOf(receipt: string | undefined): HeldLine | null {
  const claims = claimsOf(receipt?.split('.')[1] ?? '');
  if (typeof claims !== 'object' || claims === null || !('line' in claims)) return null;
  const { line } = claims;
  // The cast: shared/protocol/receipt.ts has written it, and its schema is too large for here.
  return typeof line === 'object' && line !== null && 'ceiling' in line ? (line as HeldLine) : null;
}

function claimsOf(base64url: string): unknown {
  try {
    const bytes = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (each) => each.charCodeAt(0))));
  } catch {
    return null;
  }
}
