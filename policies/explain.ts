/**
 * Why a prompt gets the line it gets: what fired in each look, and for every bound, which levels
 * set it by which field.
 */
import type { CategoryProbability, ShadowReport } from '#shared/api/plimsoll-extension.ts';
import { SIGNALS, type Signal } from '#shared/line/categories.ts';
import type { Line, Mode } from '#shared/line/line.ts';
import { type Bounds, forceOf, type SignalValues, tightenBy } from '#shared/line/rules.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import { compile, refusalWords, secondLookOf, type Verdict } from './compile.ts';
import { effectivePolicy, LEVELS, type Level, type LevelName, withTenant } from './effective.ts';
import { leavesOf } from './leaves.ts';
import { LOOSEST, type Policy } from './schema.ts';
import { probabilityOf, shadowReports, stricterSignals } from './shadow.ts';

type SetBy = { level: LevelName; version: string | null; field: string };

type Fired = {
  signal: Signal;
  look: 'edge' | 'backend';
  probability: number;
  /** How far along its ramp the joined rule is: above 0, up to 1. */
  force: number;
  /** The levels that have a rule for the signal. */
  levels: LevelName[];
};

/**
 * One bound. `set_by` is empty if no level restricts it. The levels in it are enough: without all
 * others, the bound would be the same.
 */
export type ExplainedBound = { bound: string; value: unknown; rule: Signal | null; set_by: SetBy[] };

export type Explanation = {
  /** Of the effective policy. */
  version: string;
  problems: { level: LevelName; problem: string }[];
  /** What comes of it after both looks. */
  verdict: Verdict;
  /**
   * What a backend would be told, which is after the edge's look alone. null: it is told nothing.
   */
  directive: { policy: string; line: Line; second_look: SecondLook | null } | null;
  /** The policy's words, if it refuses and has any. */
  refusal: string | null;
  fired: Fired[];
  shadow: ShadowReport[];
  bounds: ExplainedBound[];
};

/**
 * @param signals what the edge's classifier found
 * @param options.backend what a backend's second look found; null if nobody looked
 */
export async function explain(
  levels: readonly Level[],
  signals: SignalValues,
  { mode = 'logits', backend = null }: { mode?: Mode; backend?: readonly CategoryProbability[] | null } = {},
): Promise<Explanation> {
  const { policy, version } = await effectivePolicy(levels);
  const looks = { edge: signals, backend };
  const both = stricterSignals(looks);
  const verdict = compile(policy, both, { mode });
  const atEdge = compile(policy, signals, { mode });
  const known = withTenant(levels);
  const ordered = LEVELS.flatMap((name) => known.filter(({ level }) => level === name));
  const because = verdict.action === 'refuse' ? verdict.because : null;
  const joined = { policy, leaves: leavesOf(policy) };
  const leaved = ordered.map((level) => ({ ...level, leaves: leavesOf(level.policy) }));
  return {
    version,
    problems: ordered.flatMap(({ level, problem }) => (problem === null ? [] : [{ level, problem }])),
    verdict,
    directive:
      atEdge.action === 'answer' ? { policy: version, line: atEdge.line, second_look: secondLookOf(policy) } : null,
    refusal: verdict.action === 'refuse' ? refusalWords(policy, because) : null,
    fired: SIGNALS.flatMap((signal): Fired[] => {
      const rule = policy.categories[signal];
      const force = rule === undefined ? 0 : forceOf(rule, both[signal]);
      if (force === 0) return [];
      const probability = probabilityOf(both[signal]);
      const look = probability > probabilityOf(signals[signal]) ? 'backend' : 'edge';
      const having = ordered.filter((each) => each.policy.categories[signal] !== undefined);
      return [{ signal, look, probability, force, levels: having.map(({ level }) => level) }];
    }),
    shadow: shadowReports(policy, looks),
    bounds: [...lineBounds(joined, leaved, both), ...otherBounds(joined, leaved)],
  };
}

/** A level and its fields, flat. */
type Leaved = Level & { leaves: Map<string, string> };
type Joined = { policy: Policy; leaves: Map<string, string> };
const NEUTRAL = leavesOf(LOOSEST);

/** The bounds that a rule can move. */
const MOVABLE = {
  action: ({ action }) => action,
  floor: ({ floor }) => floor,
  ceiling: ({ ceiling }) => ceiling,
  'opening.tokens': ({ opening }) => opening.tokens,
  'opening.floor': ({ opening }) => opening.floor,
  budget: ({ budget }) => budget,
} satisfies Record<string, (bounds: Bounds) => unknown>;
type Movable = keyof typeof MOVABLE;

function lineBounds({ policy, leaves }: Joined, levels: readonly Leaved[], signals: SignalValues): ExplainedBound[] {
  const { floor: base, categories: rules } = policy;
  const held = tightenBy(policy, { base, rules, signals });
  const explained = (bound: Movable): ExplainedBound => {
    const read = MOVABLE[bound];
    const value = read(held);
    const decides = (signal: Signal) => {
      const rule = rules[signal];
      return rule !== undefined && read(tightenBy(policy, { base, rules: { [signal]: rule }, signals })) === value;
    };
    if (value === read(policy)) return { bound, value, rule: null, set_by: settersOf(bound, leaves, levels) };
    const rule = SIGNALS.find(decides) ?? null;
    return { bound, value, rule, set_by: rule === null ? [] : ruleSetters(rule, bound) };
  };
  // The fields of the levels' rules that make the joined rule do what it does.
  const ruleSetters = (signal: Signal, bound: Movable): SetBy[] => {
    const rule = rules[signal];
    const isWhole = rule !== undefined && forceOf(rule, signals[signal]) === 1;
    const fields = [bound, 'ramp.full', ...(isWhole ? [] : ['ramp.from'])];
    if (bound === 'opening.floor') fields.push('opening.tokens');
    // Floors rise from the policy's own.
    const rises = bound === 'opening.floor' || (bound === 'floor' && !isWhole);
    return [
      ...fields.flatMap((field) => havingJoined(`categories.${signal}.${field}`, leaves, levels)),
      ...(rises ? settersOf('floor', leaves, levels) : []),
    ];
  };

  const action = explained('action');
  // The safety expert alone is a floor of 1, whoever sets the floor.
  const floor = held.action === 'mix' ? explained('floor') : { ...action, bound: 'floor', value: 1 };
  const ceiling = explained('ceiling');
  const least = floor.value as number;
  // The floor wins where the two cross. Both have to do with it.
  const settled =
    held.ceiling >= least
      ? ceiling
      : {
          ...floor,
          bound: 'ceiling',
          set_by: unique([...floor.set_by, ...explained('floor').set_by, ...ceiling.set_by]),
        };
  return [action, floor, settled, explained('opening.tokens'), explained('opening.floor'), explained('budget')];
}

/** Limits, permissions, and what else no signal moves; only what some level restricts. */
function otherBounds({ leaves }: Joined, levels: readonly Leaved[]): ExplainedBound[] {
  return [...leaves]
    .filter(([field]) => !(field in MOVABLE) && !field.startsWith('categories.'))
    .map(([bound, value]) => {
      return { bound, value: JSON.parse(value) as unknown, rule: null, set_by: settersOf(bound, leaves, levels) };
    })
    .filter(({ set_by }) => set_by.length > 0);
}

/** Lists of what is allowed: every level that has one takes part in what is left. */
const LISTS = ['models', 'modes'];

/** The levels that set a field to what it is. None, if it restricts nothing. */
function settersOf(field: string, joined: Joined['leaves'], levels: readonly Leaved[]): SetBy[] {
  const neutral = NEUTRAL.get(field);
  if (joined.get(field) === neutral) return [];
  if (!LISTS.includes(field)) return havingJoined(field, joined, levels);
  return levels
    .filter(({ leaves }) => leaves.get(field) !== neutral)
    .map(({ level, version }) => ({ level, version, field }));
}

function havingJoined(field: string, joined: Joined['leaves'], levels: readonly Leaved[]): SetBy[] {
  return levels
    .filter(({ leaves }) => leaves.get(field) === joined.get(field))
    .map(({ level, version }) => ({ level, version, field }));
}

function unique(set: readonly SetBy[]): SetBy[] {
  return [...new Map(set.map((each) => [`${each.level} ${each.field}`, each])).values()];
}
