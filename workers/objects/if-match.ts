/** Optimistic concurrency: a change names the revision that it was made for. */
import type { Refusal } from './tenant-state.ts';

/**
 * A revision, as `If-Match` names it. `any`: whatever it is. null: the caller named none, and may
 * not overwrite what it has not seen.
 */
export type IfMatch = number | 'any' | null;

/** Why a change that was made for `ifMatch` may not overwrite `revision`; null if it may. */
export function mismatch(ifMatch: IfMatch, revision: number): Refusal | null {
  if (ifMatch === 'any' || ifMatch === revision) return null;
  if (ifMatch === null) {
    return {
      code: 'precondition_required',
      message: `This would overwrite revision ${revision}. Send its ETag as If-Match, as in 'If-Match: ${etagOf(revision)}', or 'If-Match: *' to overwrite whatever is there.`,
      param: null,
    };
  }
  return {
    code: 'precondition_failed',
    message: `If-Match names revision ${ifMatch}, but ${revision} is the current one. Look at what has changed, then send If-Match: ${etagOf(revision)}.`,
    param: null,
  };
}

export function etagOf(revision: number): string {
  return `"${revision}"`;
}
