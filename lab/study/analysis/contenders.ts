/**
 * Which methods a hypothesis compares: one by its id, one under a line, or static mixing at a
 * router's own mean weight.
 */
import type { MethodInfo } from '../results/results.ts';
import { prefillSet, type Study, sharedSeeds } from './study.ts';

/** The methods that the claims are about, by their ids in [the grid](../cells/methods.ts). */
export const METHOD = {
  /** MidPO as its code was published. */
  faithful: 'layers-faithful',
  /** MidPO as corrected here. */
  corrected: 'layers',
  /** Our gate on both experts' last hidden states. */
  logits: 'logits',
  /** One policy, plain DPO on both labels. */
  dpo: 'dpo-both',
  dpoSafety: 'dpo-s',
  dpoHelpfulness: 'dpo-h',
  speSafety: 'spe-s',
  speHelpfulness: 'spe-h',
} as const;

export const HEADLINE = [METHOD.faithful, METHOD.corrected, METHOD.logits] as const;

/**
 * A method, or a draw between methods by shares that sum to one. In a draw, chance picks the method
 * that answers each question, so a question's expected value is the mean of the methods' values,
 * weighted by the shares.
 */
export type Contender = { label: string; parts: { method: string; share: number }[] };
export type Found = Contender | { missing: string };

export function byId(id: string): (study: Study) => Found {
  return (study) => {
    const method = study.method(id);
    return method ? contender(method) : { missing: `no method has the id ${id}` };
  };
}

/**
 * The logits router under a floor that was attacked: without a budget if that was run, or else with
 * the loosest budget, because a tight budget restrains answers by itself. The label says which one
 * it is.
 */
export function floorUnderAttack(floor: number, depth: number): (study: Study) => Found {
  return (study) => {
    const set = prefillSet(study) ?? '';
    const attacked = lineMethods(study).findLast(
      ({ id, line }) => line.floor === floor && study.cells({ method: id, set, depth }).length > 0,
    );
    return attacked
      ? contender(attacked)
      : { missing: `no router with floor ${floor} was attacked with ${depth} prefilled tokens` };
  };
}

/**
 * Static mixing with the same mean safety weight as a router: a draw between the nearest static
 * weights below and above it, with the shares that give that mean. The experts alone count as the
 * weights 0 and 1.
 */
export function staticLike(id: string): (study: Study) => Found {
  return (study) => {
    const set = study.world?.id ?? '';
    const mixed = study.results.methods.filter(
      ({ id: method, family }) => family === 'mod' && study.cells({ method, set }).length > 0,
    );
    const ends = [METHOD.dpoHelpfulness, METHOD.dpoSafety].flatMap((end) => study.method(end) ?? []);
    // Compare the weights of the same seeds, because the router of another seed has another mean.
    const seeds = sharedSeeds(study, { methods: [id, ...mixed.map((method) => method.id)], set, depth: 0 });
    const weightOf = (method: string) => study.interval({ method, set, seeds }, 'weight')?.mean ?? null;
    const target = weightOf(id);
    if (target === null) return { missing: `the mean safety weight of ${id} was not measured` };
    const rivals = [
      ...mixed.map((method) => ({ method, weight: weightOf(method.id) })),
      ...ends.map((method) => ({ method, weight: method.id === METHOD.dpoSafety ? 1 : 0 })),
    ]
      .filter((rival): rival is { method: MethodInfo; weight: number } => rival.weight !== null)
      .sort((a, b) => a.weight - b.weight);
    const below = rivals.findLast(({ weight }) => weight <= target);
    const above = rivals.find(({ weight }) => weight >= target);
    if (mixed.length === 0 || !below || !above) {
      return { missing: `no static weights below and above ${target.toFixed(2)} were run` };
    }
    if (above.weight === below.weight) return contender(below.method);
    const share = (target - below.weight) / (above.weight - below.weight);
    const percent = (part: number) => `${Math.round(100 * part)} %`;
    return {
      label: `static mixing at mean weight ${target.toFixed(2)} (${below.method.label} for ${percent(1 - share)} of the answers, ${above.method.label} for ${percent(share)})`,
      parts: [
        { method: below.method.id, share: 1 - share },
        { method: above.method.id, share },
      ],
    };
  };
}

export const contender = ({ id, label }: Pick<MethodInfo, 'id' | 'label'>): Contender => ({
  label,
  parts: [{ method: id, share: 1 }],
});

export type LineMethod = MethodInfo & { line: { floor: number; budget: number | null } };

/**
 * The logits router under every line of the grid, sorted by budget and floor. No budget comes last.
 */
export function lineMethods(study: Study): LineMethod[] {
  return study.results.methods
    .filter((method): method is LineMethod => method.family === 'logits-router' && method.line !== undefined)
    .sort(
      (a, b) =>
        (a.line.budget ?? Number.POSITIVE_INFINITY) - (b.line.budget ?? Number.POSITIVE_INFINITY) ||
        a.line.floor - b.line.floor,
    );
}

export const budgetName = (budget: number | null): string => (budget === null ? 'no budget' : `budget ${budget} nats`);
