/**
 * Refuses what an answer cannot be held to, before anything is drawn or reserved: a schema that is
 * wrong, too large or not supported. The backend compiles it again, with the model's tokens.
 */
import { LRUCache } from 'lru-cache';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { AskedGrammar } from '#shared/protocol/grammar-of-chat.ts';

/** Clients send one schema again and again, also one that is refused. In characters. */
const MOST_CHECKED = 8_000_000;

export type CheckGrammar = (
  asked: AskedGrammar | null,
  caller: { tenant: string; policy: Pick<Policy, 'shaping'> },
) => void;

/** Throws a PlimsollError that names the field, and the place in the schema. */
export function createCheckGrammar(): CheckGrammar {
  /** null: it is as it should be. */
  const checked = new LRUCache<string, { refusal: PlimsollError | null }>({
    maxSize: MOST_CHECKED,
    sizeCalculation: (_outcome, key) => 1_000 + key.length,
  });
  return (asked, { tenant, policy }) => {
    if (asked === null) return;
    const { grammar, param } = asked;
    if (!policy.shaping.grammar) {
      const expected = param === 'response_format' ? '{"type":"text"}' : 'the field left out';
      throw new PlimsollError(
        'unsupported_value',
        `'${param}' is not allowed by the tenant's policy (shaping.grammar): expected ${expected}.`,
        { param },
      );
    }
    // The field is in the words of a refusal.
    const key = JSON.stringify([tenant, param, grammar]);
    let outcome = checked.get(key);
    if (outcome === undefined) {
      outcome = { refusal: refusalOf(asked) };
      checked.set(key, outcome);
    }
    if (outcome.refusal === null) return;
    const { code, message } = outcome.refusal;
    throw new PlimsollError(code, message, { param });
  };
}

function refusalOf({ grammar, param }: AskedGrammar): PlimsollError | null {
  try {
    compileGrammar(grammar, { what: `Invalid schema for '${param}': it` });
    return null;
  } catch (thrown) {
    if (thrown instanceof PlimsollError) return thrown;
    throw thrown;
  }
}
