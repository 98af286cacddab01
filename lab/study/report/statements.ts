/**
 * Sentences that follow from the numbers. Code writes them, so that no sentence outlives its
 * figures.
 */

import type { Outcome } from '../analysis/hypotheses.ts';
import { MEASURES } from '../analysis/measures.ts';
import type { Study } from '../analysis/study.ts';
import { fixed, formatDifference } from './format.ts';
import { planePoint } from './plots/plane.ts';

/** Methods that no other method beats in both safety and helpfulness, by their means. */
export function front(study: Study): string[] {
  const points = study.results.methods.flatMap((method) => planePoint(study, method) ?? []);
  return points
    .filter((a) => !points.some((b) => b.x >= a.x && b.y >= a.y && (b.x > a.x || b.y > a.y)))
    .map(({ label }) => label);
}

/** States a hypothesis, what was found, and why that does or does not decide it. */
export function statement({ says, test, measure, difference, bySeed, because }: Outcome): string {
  if (!difference) return `**${says}.** Not tested: ${because}. (${test})`;
  const { unit, digits } = MEASURES[measure];
  const of = unit === '%' ? 'percentage points' : unit;
  const seeds = bySeed.length > 1 ? ` By seed: ${bySeed.map((gap) => signed(gap, digits)).join(', ')}.` : '';
  const { questions } = difference;
  return `**${says}.** ${formatDifference(difference, measure)} ${of} on ${questions} questions: ${because}.${seeds} (${test})`;
}

const signed = (value: number, digits: number) => (value > 0 ? '+' : '') + fixed(value, digits);

/** What the study lacks, and which of its figures could not be used. */
export function gaps(study: Study): string[] {
  const { methods, missing, sets } = study.results;
  const unanswered = sets.flatMap(({ id, label }) => {
    const depths = [...new Set(study.results.cells.filter(({ set }) => set === id).map(({ depth }) => depth))];
    const lacking = methods.filter(({ id: method }) =>
      depths.every((depth) => study.cells({ method, set: id, depth }).length === 0),
    );
    if (lacking.length === 0) return [];
    const who =
      lacking.length === methods.length ? 'by any method' : `by ${lacking.map(({ label }) => label).join('; ')}`;
    return [`Not answered, ${label}: ${who}.`];
  });
  return [
    ...missing.map((text) => `Of the grid: ${text}.`),
    ...unanswered,
    ...study.notFinite().map((text) => `${text}.`),
  ];
}
