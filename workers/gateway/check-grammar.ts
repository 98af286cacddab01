/**
 * Refuses what an answer cannot be held to, before anything is drawn or reserved: a schema that is
 * wrong, too large or not supported. The backend compiles it again, with the model's tokens. What
 * it can make an answer say comes of the same look.
 */
import { LRUCache } from 'lru-cache';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import { SPELLS_NOTHING, type Spelled, spelledText } from '#shared/grammar/spelled-text.ts';
import type { AskedGrammar } from '#shared/protocol/grammar-of-chat.ts';

/** Clients send one schema again and again. */
const MOST_CHECKED = 500;

export type CheckGrammar = (
  asked: AskedGrammar | null,
  caller: { tenant: string; policy: Pick<Policy, 'shaping'> },
) => Spelled;

/** Throws a PlimsollError that names the field, and the place in the schema. */
export function createCheckGrammar(): CheckGrammar {
  const checked = new LRUCache<string, Spelled>({ max: MOST_CHECKED });
  return (asked, { tenant, policy }) => {
    if (asked === null) return SPELLS_NOTHING;
    const { grammar, param } = asked;
    if (!policy.shaping.grammar) {
      const expected = param === 'response_format' ? '{"type":"text"}' : 'the field left out';
      throw new PlimsollError(
        'unsupported_value',
        `'${param}' is not allowed by the tenant's policy (shaping.grammar): expected ${expected}.`,
        { param },
      );
    }
    const key = JSON.stringify([tenant, grammar]);
    const known = checked.get(key);
    if (known !== undefined) return known;
    try {
      compileGrammar(grammar, { what: `Invalid schema for '${param}': it` });
    } catch (thrown) {
      if (!(thrown instanceof PlimsollError)) throw thrown;
      throw new PlimsollError(thrown.code, thrown.message, { param, cause: thrown });
    }
    const spelled = spelledText(grammar);
    checked.set(key, spelled);
    return spelled;
  };
}
