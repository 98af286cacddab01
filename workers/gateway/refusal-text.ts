/**
 * What a client reads when the tenant's policy refuses: as an error where the edge has refused, and
 * in the place of an answer where a backend's second look has, because the headers have gone by
 * then.
 */
import type { Signal } from '#shared/line/categories.ts';

/** Words for the signals that are not categories. */
const REASONS: Partial<Record<Signal, string>> = {
  any_harm: 'it seems to ask for harm',
  unread: 'a part of it is beyond what is read',
  uncertain: 'a part of it is in a language that is not understood',
};

/**
 * @param because the signal whose rule refuses, or null if the policy refuses everything
 * @param own the policy's own words, if it has any
 */
export function refusalText(because: Signal | null, own: string | null = null): string {
  if (own !== null) return own;
  const why = because === null ? '' : ` (${REASONS[because] ?? `category '${because}'`})`;
  return `This request was refused by the tenant's policy${why}.`;
}
