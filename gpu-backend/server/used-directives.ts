/**
 * Which directives this backend has taken, so that none is taken twice: a copied one would give a second answer and a second
 * receipt for one request. An id is remembered for as long as its directive could live, so the memory is bounded by the edge's own
 * rate. A restart forgets; what was signed before it lives for seconds.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { DIRECTIVE_TTL_SECONDS } from '#shared/protocol/directive.ts';

export type UsedDirectives = {
  /** Remembers the id; throws `directive_invalid` if it was here before. */
  take(id: string): void;
};

export function createUsedDirectives({ now = Date.now }: { now?: () => number } = {}): UsedDirectives {
  /** In the order in which they came, and so of their forgetting. */
  const forgetAt = new Map<string, number>();
  return {
    take(id) {
      const nowMs = now();
      for (const [old, atMs] of forgetAt) {
        if (atMs > nowMs) break;
        forgetAt.delete(old);
      }
      if (forgetAt.has(id)) throw new PlimsollError('directive_invalid', 'The directive was used before.');
      // One second more: a directive's times are whole seconds.
      forgetAt.set(id, nowMs + (DIRECTIVE_TTL_SECONDS + 1) * 1000);
    },
  };
}
