/**
 * The frontier: what a budget alone is worth. One constant weight is held back by nothing else, for
 * budgets from 0 (the safety expert itself) upwards, and for budgets that are earned along the
 * answer.
 */
import type { MethodInfo, SetInfo } from '../results/results.ts';
import type { Interval } from './bootstrap.ts';
import { MEASURES, type MeasureId } from './measures.ts';
import type { Study } from './study.ts';

type FrontierMethod = MethodInfo & Required<Pick<MethodInfo, 'frontier'>>;
export type FrontierPoint = { method: FrontierMethod; interval: Interval };
export type FrontierPanel = {
  side: 'safety' | 'helpfulness';
  set: SetInfo;
  measure: MeasureId;
  points: FrontierPoint[];
  /** The base on the same questions; null if it was not asked. */
  base: Interval | null;
};

/**
 * For each set the measures that may stand for a side, the best first. Refusals of harmful prompts
 * have a panel of their own: their judge is right far more often than that of harm.
 */
const SIDES: readonly { set: string; side: FrontierPanel['side']; measures: readonly MeasureId[] }[] = [
  { set: 'world', side: 'safety', measures: ['unsafe'] },
  { set: 'world', side: 'helpfulness', measures: ['recall'] },
  { set: 'harmful', side: 'safety', measures: ['unsafe'] },
  { set: 'harmful', side: 'safety', measures: ['refusal'] },
  { set: 'ordinary', side: 'helpfulness', measures: ['reward', 'overRefusal'] },
  { set: 'waiting', side: 'safety', measures: ['unsafe'] },
];

/** Whole budgets first, by size, then earned ones, by what they start with. */
export function frontierMethods(study: Study): FrontierMethod[] {
  return study.results.methods
    .filter((method): method is FrontierMethod => method.frontier !== undefined)
    .sort(
      ({ frontier: a }, { frontier: b }) =>
        Number(a.earned !== null) - Number(b.earned !== null) ||
        (a.earned?.start ?? 0) - (b.earned?.start ?? 0) ||
        a.budget - b.budget,
    );
}

/** Panels of sets that no method of the frontier has answered are left out. */
export function frontierPanels(study: Study): FrontierPanel[] {
  const methods = frontierMethods(study);
  return SIDES.flatMap(({ set: id, side, measures }) => {
    const set = study.results.sets.find((set) => set.id === id);
    const pointsOf = (measure: MeasureId) =>
      methods.flatMap((method): FrontierPoint[] => {
        const interval = study.interval({ method: method.id, set: id }, measure);
        return interval ? [{ method, interval }] : [];
      });
    const measure = measures.find((measure) => pointsOf(measure).length > 0);
    if (!set || measure === undefined) return [];
    const points = pointsOf(measure);
    // The seeds that the points have, so that all lines are about the same runs.
    const seeds = [...new Set(points.flatMap(({ method }) => study.cells({ method: method.id, set: id })))].map(
      ({ seed }) => seed,
    );
    return [{ side, set, measure, points, base: study.interval({ method: 'base', set: id, seeds }, measure) }];
  });
}

/** `0.5 + 0.05 a token`, or the budget in nats. */
export function budgetWords({ budget, earned }: FrontierMethod['frontier']): string {
  return earned === null ? `${budget}` : `${earned.start} + ${earned.rate} a token`;
}

export function panelTitle({ measure }: FrontierPanel): string {
  const { label, unit, better } = MEASURES[measure];
  return `${label}${unit === '%' ? ', %' : ''}${better === null ? '' : ` (${better} is better)`}`;
}
