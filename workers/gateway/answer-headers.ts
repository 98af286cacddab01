/** Headers of an answer, besides those that say what kind of body it is. */
import { IGNORED_HEADER } from '#shared/api/ignored-fields.ts';
import type { CacheState } from '#shared/api/plimsoll-extension.ts';

/** @param ageMs null if the answer is made anew */
export function cacheHeaders(state: CacheState, ageMs: number | null): Record<string, string> {
  return { 'x-plimsoll-cache': state, ...(ageMs !== null && { age: String(Math.floor(ageMs / 1000)) }) };
}

/** Which fields of the request changed nothing. */
export function ignoredHeaders(names: readonly string[]): Record<string, string> {
  return names.length === 0 ? {} : { [IGNORED_HEADER]: names.join(', ') };
}
