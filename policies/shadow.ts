/**
 * What shadow rules would have done. They are counted and reported, never applied. What a backend's
 * second look has found counts as well. So the edge makes the report when the answer ends, and no
 * backend knows of it.
 */
import type { CategoryProbability, ShadowReport } from '#shared/api/plimsoll-extension.ts';
import { SIGNALS } from '#shared/line/categories.ts';
import { type Bounds, forceOf, type SignalValues, tightenBy } from '#shared/line/rules.ts';
import type { Policy } from './schema.ts';

/**
 * `edge` is what the classifier found, `backend` what the second look did; null if nobody looked.
 */
export type Looks = { edge: SignalValues; backend: readonly CategoryProbability[] | null };

/**
 * A report for each shadow rule that fires: the bounds that the answer would have had if this one
 * rule applied beside those that do. In the order of SIGNALS.
 */
export function shadowReports(
  policy: Pick<Policy, keyof Bounds | 'categories' | 'shadow'>,
  looks: Looks,
): ShadowReport[] {
  if (Object.keys(policy.shadow).length === 0) return [];
  const signals = stricterSignals(looks);
  const base = policy.floor;
  const held = tightenBy(policy, { base, rules: policy.categories, signals });
  return SIGNALS.flatMap((signal): ShadowReport[] => {
    const rule = policy.shadow[signal];
    if (rule === undefined || forceOf(rule, signals[signal]) === 0) return [];
    const would = settled(tightenBy(held, { base, rules: { [signal]: rule }, signals }));
    const probability = probabilityOf(signals[signal]);
    return [
      {
        signal,
        look: probability > probabilityOf(looks.edge[signal]) ? 'backend' : 'edge',
        probability,
        tightens: JSON.stringify(would) !== JSON.stringify(settled(held)),
        would,
      },
    ];
  });
}

/** Of each judgement, the higher probability of the two looks: it is the one that counts. */
export function stricterSignals({ edge, backend }: Looks): SignalValues {
  if (backend === null) return edge;
  const higher = backend.map(({ name, probability }) => [name, Math.max(probabilityOf(edge[name]), probability)]);
  return { ...edge, ...Object.fromEntries(higher) };
}

/** A probability that is not known counts as 1. */
export function probabilityOf(signal: number | undefined): number {
  return signal === undefined || Number.isNaN(signal) ? 1 : signal;
}

/** The bounds as a line has them. */
function settled({ action, floor, ceiling, opening, budget }: Bounds): ShadowReport['would'] {
  const least = action === 'mix' ? floor : 1;
  return { action, floor: least, ceiling: Math.max(ceiling, least), opening, budget };
}
