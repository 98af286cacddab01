/** What sets two policies apart, field by field, and whether each change tightens or loosens. */
import diff from 'microdiff';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import type { Policy } from './schema.ts';
import { tighten } from './tighten.ts';

export type Change = {
  /** As in `categories.violence.ramp.from`. */
  path: string;
  /** undefined: the field is not there, as with a rule that only the other policy has. */
  from: unknown;
  to: unknown;
  /**
   * What the change does to the line or the permissions, everything else being equal. `mixed`:
   * neither value is tighter than the other. `none`: it bounds nothing, such as words, tests and
   * shadow rules.
   */
  effect: 'tighter' | 'looser' | 'mixed' | 'none';
};

/** Lists that count as one value: which of their elements come first means nothing. */
const SETS = ['models', 'modes', 'tests'] as const;

/** The changes from `a` to `b`, in the order of the fields. */
export function diffPolicies(a: Policy, b: Policy): Change[] {
  const found = diff(withoutSets(a), withoutSets(b)).map((each): Change => {
    const path = each.path.map(String);
    const from: unknown = each.type === 'CREATE' ? undefined : each.oldValue;
    const to: unknown = each.type === 'REMOVE' ? undefined : each.value;
    return { path: path.join('.'), from, to, effect: effectOf(a, b, path) };
  });
  const sets = SETS.filter((field) => canonicalJson(a[field]) !== canonicalJson(b[field])).map((field): Change => {
    return { path: field, from: a[field], to: b[field], effect: effectOf(a, b, [field]) };
  });
  return [...found, ...sets].sort((one, other) => (one.path < other.path ? -1 : 1));
}

function withoutSets({ models: _models, modes: _modes, tests: _tests, ...rest }: Policy) {
  return rest;
}

function effectOf(a: Policy, b: Policy, path: readonly string[]): Change['effect'] {
  if (path[0] === 'shadow' || path[0] === 'tests' || path.at(-1) === 'refusal' || path[0] === 'description')
    return 'none';
  const changed = withField(a, path, fieldOf(b, path));
  const joined = canonicalJson(tighten(a, changed));
  if (joined === canonicalJson(changed)) return 'tighter';
  return joined === canonicalJson(a) ? 'looser' : 'mixed';
}

function fieldOf(policy: Policy, path: readonly string[]): unknown {
  // The cast: a path from `diff` leads through objects only.
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], policy);
}

/** A copy with one field set, or left out where the value is undefined. */
function withField(policy: Policy, path: readonly string[], value: unknown): Policy {
  const copy = structuredClone(policy);
  // The casts: see above. The value comes from the same field of another policy.
  const parent = fieldOf(copy, path.slice(0, -1)) as Record<string, unknown>;
  const last = path.at(-1) as string;
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}
