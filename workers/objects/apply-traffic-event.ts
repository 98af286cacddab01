/** What becomes of kept prompts, for the audit log. */
import { type Applied, unchanged } from './applied.ts';
import type { TenantState, TrafficEvent } from './tenant-state.ts';

/**
 * An entry in the log. It is no revision: whoever holds an ETag may go on with it. Erasing nothing
 * is no entry.
 */
export function noted(state: TenantState, { type: action, prompts }: TrafficEvent): Applied {
  if (action === 'prompts-erase' && prompts === 0) return unchanged(state);
  return { refused: null, changed: true, state, policies: [], activation: null, action, detail: { prompts } };
}
