/**
 * The policy that decides: all levels joined. Answers and receipts name its version, because one
 * level's document can change while the others stay the same.
 */
import { SIGNALS } from '#shared/line/categories.ts';
import { Policy, PolicyPart, STRICTEST } from './schema.ts';
import { tightenAll } from './tighten.ts';
import { canonicalPolicy, policyVersion, readStoredPolicy, STRICTEST_VERSION } from './version.ts';

/** From the one that everybody is under to the one for this request alone. */
export const LEVELS = ['operator', 'plan', 'tenant', 'key', 'request'] as const;
export type LevelName = (typeof LEVELS)[number];

/** One level's document. `version` is null where nothing is stored: an operator's, a request's. */
export type Level = { level: LevelName; version: string | null; policy: Policy; problem: string | null };

/**
 * Reads a level's stored text. A text that is missing or broken is the strictest policy, at any
 * level, and its problem is named.
 */
export async function readLevel(level: LevelName, document: string | null, version: string | null): Promise<Level> {
  return { level, ...(await readStoredPolicy(document, version, level === 'tenant' ? Policy : PolicyPart)) };
}

/**
 * Joins the levels. The version is that of the join. If a level's policy is missing or broken, it
 * says that the strictest policy stands in for it. Without a tenant's level, too: nobody has said
 * where the line is.
 *
 * Texts bound nothing, so for a refusal's words the levels do count: the tenant's go first, then
 * those of its key, its plan and the operator. Descriptions and tests stay with their documents.
 */
export async function effectivePolicy(levels: readonly Level[]): Promise<{ policy: Policy; version: string }> {
  const known = withTenant(levels);
  const policy = withWords(tightenAll(known.map((level) => level.policy)), known);
  const content = await policyVersion(canonicalPolicy(policy));
  const isWhole = known.every(({ problem }) => problem === null);
  return { policy, version: isWhole ? content : `${STRICTEST_VERSION}-${content}` };
}

/** The levels, with the strictest policy as the tenant's if there is none. */
export function withTenant(levels: readonly Level[]): readonly Level[] {
  return levels.some(({ level }) => level === 'tenant') ? levels : [...levels, NO_TENANT];
}

const NO_TENANT: Level = { level: 'tenant', version: null, policy: STRICTEST, problem: 'the policy is missing' };

/** Whose words a refusal has. A request has none of its own. */
const SPEAKERS = ['tenant', 'key', 'plan', 'operator', 'request'] as const satisfies readonly LevelName[];

function withWords(joined: Policy, levels: readonly Level[]): Policy {
  const speakers = SPEAKERS.flatMap((name) => levels.filter(({ level }) => level === name)).map(({ policy }) => policy);
  const first = (wordsOf: (policy: Policy) => string | null) =>
    speakers.map(wordsOf).find((words) => words !== null) ?? null;
  const spoken = (kind: 'categories' | 'shadow'): Policy['categories'] => {
    const rules = { ...joined[kind] };
    for (const signal of SIGNALS) {
      const rule = rules[signal];
      if (rule !== undefined)
        rules[signal] = { ...rule, refusal: first((policy) => policy[kind][signal]?.refusal ?? null) };
    }
    return rules;
  };
  return {
    ...joined,
    description: null,
    tests: [],
    refusal: first(({ refusal }) => refusal),
    categories: spoken('categories'),
    shadow: spoken('shadow'),
  };
}
