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
import type { Rule } from '#shared/grammar/rule.ts';
import { SPELLS_NOTHING, type Spelled, spelledText } from '#shared/grammar/spelled-text.ts';
import { MOST_WORK, Work } from '#shared/grammar/work.ts';
import type { AskedGrammar } from '#shared/protocol/grammar-of-chat.ts';
import { createRateBound } from '../request/rate-bound.ts';

/** Clients send one schema again and again, also one that is refused. In characters. */
const MOST_CHECKED = 8_000_000;

/**
 * For one tenant's new schemas, in this isolate. They are read before the account counts the
 * request, and one that is refused is never counted there. Some seconds of a minute; ten thousand
 * ordinary schemas.
 */
const MOST_WORK_A_MINUTE = 20 * MOST_WORK;

export type CheckGrammar = (
  asked: AskedGrammar | null,
  caller: { tenant: string; policy: Pick<Policy, 'shaping'> },
) => Spelled;

/**
 * Throws a PlimsollError that names the field, and the place in the schema.
 *
 * @param bound counts the units of work that a tenant's new schemas have taken
 */
export function createCheckGrammar({
  bound = createRateBound({ most: MOST_WORK_A_MINUTE, periodMs: 60_000 }),
} = {}): CheckGrammar {
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
      const waitMs = bound.wait(tenant);
      if (waitMs !== null) throw tooManySchemas(waitMs);
      const work = new Work(asked.parts.length > 1 ? TOGETHER : {});
      outcome = outcomeOf(asked, work);
      bound.take(tenant, work.done);
      checked.set(key, outcome);
    }
    if ('spelled' in outcome) return outcome.spelled;
    const { code, message, param: field } = outcome.refusal;
    throw new PlimsollError(code, message, { param: field });
  };
}

/** What a schema can make an answer say, or why it is refused. */
type Outcome = { spelled: Spelled } | { refusal: PlimsollError };

const TOGETHER = { tooMuch: "makes the request's schemas too much work" };

/** All of it together is no more work than one grammar may be. */
function outcomeOf({ grammar, param, spells, parts }: AskedGrammar, work: Work): Outcome {
  const known = { work, schemas: new Map<string, Rule>() };
  // Each by itself first, so that an error names the field that it is in.
  for (const one of [...parts, { grammar, param }]) {
    const refusal = problemOf(one, known);
    if (refusal !== null) return { refusal };
  }
  return { spelled: spelledText(spells, work) };
}

function problemOf(
  { grammar, param }: { grammar: Grammar; param: string },
  known: { work: Work; schemas: Map<string, Rule> },
): PlimsollError | null {
  try {
    compileGrammar(grammar, { ...known, what: `Invalid schema for '${param}': it` });
    return null;
  } catch (thrown) {
    if (!(thrown instanceof PlimsollError)) throw thrown;
    return new PlimsollError(thrown.code, thrown.message, { param });
  }
}

const tooManySchemas = (waitMs: number) =>
  new PlimsollError(
    'rate_limit_exceeded',
    "The tenant's new schemas were too much work in the last minute. Those that were sent before cost nothing: send them as they were, or wait.",
    { retryAfterSeconds: Math.ceil(waitMs / 1_000) },
  );
