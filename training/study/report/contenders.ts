/** Which methods a hypothesis compares: one by its id, one under a line, or static mixing at a router's own mean weight. */
import type { MethodInfo } from '../results.ts';
import type { Study } from './study.ts';

/** The methods that the claims are about, by the ids that the grid gives them. */
export const METHOD = {
  /** MidPO as its code was published. */
  faithful: 'layers-faithful',
  /** MidPO as corrected here. */
  corrected: 'layers',
  /** Our gate on both experts' last hidden states. */
  logits: 'logits',
  /** One policy, plain DPO on both labels. */
  dpo: 'dpo-both',
  dpoSafety: 'dpo-safety',
  dpoHelpfulness: 'dpo-helpfulness',
  speSafety: 'spe-safety',
  speHelpfulness: 'spe-helpfulness',
} as const;

export const HEADLINE = [METHOD.faithful, METHOD.corrected, METHOD.logits] as const;

/**
 * A method, or a draw between methods by shares that sum to one: each question is answered by one of them, by chance, and the
 * expected value of a question is the shares' mean of theirs.
 */
export type Contender = { label: string; parts: { method: string; share: number }[] };
export type Found = Contender | { missing: string };

export function byId(id: string): (study: Study) => Found {
  return (study) => {
    const method = study.method(id);
    return method ? only(method) : { missing: `no method has the id ${id}` };
  };
}

/** The logits router under a line. Without floor and budget it is the router itself. */
export function underLine(line: { floor: number; budget: number | null }): (study: Study) => Found {
  return (study) => {
    const method = lineMethods(study).find((other) => sameLine(other.line, line));
    return method
      ? only(method)
      : { missing: `no router was run with floor ${line.floor} and ${budgetName(line.budget)}` };
  };
}

/**
 * Static mixing with the same mean safety weight as a router: a draw between the two static weights beside it, in the shares that give that mean.
 * A router whose mean is outside of the static weights that were run has no such rival.
 */
export function staticLike(id: string): (study: Study) => Found {
  return (study) => {
    const set = study.world?.id ?? '';
    const weightOf = (method: string) => study.interval({ method, set }, 'weight')?.mean ?? null;
    const target = weightOf(id);
    if (target === null) return { missing: `the mean safety weight of ${id} was not measured` };
    const rivals = study.results.methods
      .filter(({ family }) => family === 'mod')
      .map((method) => ({ method, weight: weightOf(method.id) }))
      .filter((rival): rival is { method: MethodInfo; weight: number } => rival.weight !== null)
      .sort((a, b) => a.weight - b.weight);
    const below = rivals.findLast(({ weight }) => weight <= target);
    const above = rivals.find(({ weight }) => weight >= target);
    if (!below || !above) return { missing: `no static weights below and above ${target.toFixed(2)} were run` };
    if (above.weight === below.weight) return only(below.method);
    const share = (target - below.weight) / (above.weight - below.weight);
    return {
      label: `static mixing at mean weight ${target.toFixed(2)} (${below.method.label} and ${above.method.label}, ${Math.round(100 * (1 - share))} : ${Math.round(100 * share)})`,
      parts: [
        { method: below.method.id, share: 1 - share },
        { method: above.method.id, share },
      ],
    };
  };
}

const only = ({ id, label }: MethodInfo): Contender => ({ label, parts: [{ method: id, share: 1 }] });

export type LineMethod = MethodInfo & { line: { floor: number; budget: number | null } };

/** The logits router under every line that was run, itself included, by budget and floor; none comes last as a budget. */
export function lineMethods(study: Study): LineMethod[] {
  const lined = study.results.methods
    .filter(({ family }) => family === 'logits-router')
    .flatMap((method): LineMethod[] => {
      const { line } = method;
      if (line) return [{ ...method, line }];
      return method.id === METHOD.logits ? [{ ...method, line: OPEN }] : [];
    });
  // The grid may also run the open line by name; the first of two equal lines is shown.
  return lined
    .filter((method, i) => lined.findIndex((other) => sameLine(other.line, method.line)) === i)
    .sort(
      (a, b) =>
        (a.line.budget ?? Number.POSITIVE_INFINITY) - (b.line.budget ?? Number.POSITIVE_INFINITY) ||
        a.line.floor - b.line.floor,
    );
}

const OPEN = { floor: 0, budget: null } as const;

function sameLine(a: { floor: number; budget: number | null }, b: { floor: number; budget: number | null }): boolean {
  return a.floor === b.floor && a.budget === b.budget;
}

export const budgetName = (budget: number | null): string => (budget === null ? 'no budget' : `budget ${budget} nats`);
