/** The methods that the report's tables are about, and the router under its lines. */
import type { MethodInfo } from '../results/results.ts';
import type { Study } from './study.ts';

/** Methods that are compared with each of the others, by their ids in cells/methods.ts. */
export const HEADLINE = ['layers', 'logits', 'constant-matched-budget-20'] as const;

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
