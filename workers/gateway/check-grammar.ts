/**
 * Refuses what an answer cannot be held to, before anything is drawn or reserved: a schema that is
 * wrong, too large or not supported. The backend compiles it again, with the model's tokens. What
 * it can make an answer say comes of the same look.
 */
import { LRUCache } from 'lru-cache';
import type { Policy } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { compileGrammar } from '#shared/grammar/compile-grammar.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { SPELLS_NOTHING, type Spelled, spelledText } from '#shared/grammar/spelled-text.ts';
import type { AskedGrammar } from '#shared/protocol/grammar-of-chat.ts';

/** Clients send one schema again and again, also one that is refused. In characters. */
const MOST_CHECKED = 8_000_000;

export type CheckGrammar = (
  asked: AskedGrammar | null,
  caller: { tenant: string; policy: Pick<Policy, 'shaping'> },
) => Spelled;

/** Throws a PlimsollError that names the field, and the place in the schema. */
export function createCheckGrammar(): CheckGrammar {
  const checked = new LRUCache<string, Outcome>({
    maxSize: MOST_CHECKED,
    sizeCalculation: (outcome, key) => 1_000 + key.length + ('spelled' in outcome ? outcome.spelled.text.length : 0),
  });
  return (asked, { tenant, policy }) => {
    if (asked === null) return SPELLS_NOTHING;
    const { grammar, param, unheld } = asked;
    if (!policy.shaping.grammar) {
      throw new PlimsollError(
        'unsupported_value',
        `'${param}' is not allowed by the tenant's policy (shaping.grammar): expected ${unheld}.`,
        { param },
      );
    }
    // The field is in the words of a refusal.
    const key = JSON.stringify([tenant, param, grammar]);
    let outcome = checked.get(key);
    if (outcome === undefined) {
      outcome = outcomeOf(asked);
      checked.set(key, outcome);
    }
    if ('spelled' in outcome) return outcome.spelled;
    const { code, message, param: field } = outcome.refusal;
    throw new PlimsollError(code, message, { param: field });
  };
}

/** What a schema can make an answer say, or why it is refused. */
type Outcome = { spelled: Spelled } | { refusal: PlimsollError };

function outcomeOf({ grammar, param, spells, parts }: AskedGrammar): Outcome {
  // Each by itself first, so that an error names the field that it is in.
  const refusal = [...parts, { grammar, param }].map(problemOf).find((problem) => problem !== null);
  return refusal === undefined ? { spelled: spelledText(spells) } : { refusal };
}

function problemOf({ grammar, param }: { grammar: Grammar; param: string }): PlimsollError | null {
  try {
    compileGrammar(grammar, { what: `Invalid schema for '${param}': it` });
    return null;
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError)) throw thrown;
    return new PlimsollError(thrown.code, thrown.message, { param });
  }
}
