/**
 * Remembers which directives this backend has taken, so that none is taken twice: a copy would give
 * one request a second answer and a second receipt. An id is remembered for as long as its
 * directive can live, so the edge's own rate bounds the memory. A restart forgets them, but
 * directives signed before it live only for seconds.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { DIRECTIVE_TTL_SECONDS } from '#shared/protocol/directive.ts';

export type UsedDirectives = {
  /** Remembers the id. Throws `directive_invalid` if it was here before. */
  take(id: string): void;
};

export function createUsedDirectives({ now = Date.now }: { now?: () => number } = {}): UsedDirectives {
  /** By id, in the order they came, which is the order in which they are forgotten. */
  const forgetAt = new Map<string, number>();
  return {
    take(id) {
      const nowMs = now();
      for (const [old, atMs] of forgetAt) {
        if (atMs > nowMs) break;
        forgetAt.delete(old);
      }
      if (forgetAt.has(id)) throw new PlimsollError('directive_invalid', 'The directive was used before.');
      // One second more, because a directive's times are whole seconds.
      forgetAt.set(id, nowMs + (DIRECTIVE_TTL_SECONDS + 1) * 1000);
    },
  };
}
