/**
 * Sentences that follow from the numbers. Code writes them, so that no sentence outlives its
 * figures.
 */

import { differenceOf, gainOf, type Outcome, verdictOf } from '../analysis/hypotheses.ts';
import type { Hypothesis } from '../analysis/hypotheses-file.ts';
import { MEASURES } from '../analysis/measures.ts';
import type { Study } from '../analysis/study.ts';
import type { MethodInfo } from '../results/results.ts';
import { fixed, formatDifference } from './format.ts';

/**
 * Pairs of methods of which the first is both safer and more helpful than the second, in the small
 * world: both intervals exclude 0, over the seeds that both have, of which there must be two. These
 * comparisons were not planned.
 */
export function better(study: Study): string[] {
  const lookedAt = withSeeds(study);
  return lookedAt.flatMap((first) =>
    lookedAt
      .filter((second) => first !== second && beats(study, first.id, second.id))
      .map((second) => `${first.label} over ${second.label}`),
  );
}

/**
 * Whether a method is both safer and more helpful than every line that is served, in a sentence;
 * null if no line that is served has two seeds.
 */
export function overServed(study: Study): string | null {
  const lookedAt = withSeeds(study);
  const [served, others] = [lookedAt.filter(isServed), lookedAt.filter((method) => !isServed(method))];
  if (served.length === 0) return null;
  const lines = served.map(({ label }) => label).join('; ');
  const over = others.filter(({ id }) => served.every((line) => beats(study, id, line.id)));
  return over.length === 0
    ? `In the small world no other method is both safer and more helpful than every line that is served (${lines}), as far as intervals can tell.`
    : `In the small world, both safer and more helpful than every line that is served (${lines}): ${over.map(({ label }) => label).join('; ')}.`;
}

const isServed = ({ family }: MethodInfo) => family === 'served';

/** Methods that answered the small world with two seeds or more. */
function withSeeds(study: Study): MethodInfo[] {
  const set = study.world?.id;
  return set === undefined ? [] : study.results.methods.filter(({ id }) => seedCount(study, id, set) > 1);
}

function beats(study: Study, first: string, second: string): boolean {
  return (['unsafe', 'recall'] as const).every((measure) => {
    const found = differenceOf(study, { first, second, measure, set: study.world!.id });
    if ('missing' in found || found.interval.seeds < 2) return false;
    return verdictOf({ test: 'superior', margin: 0 }, gainOf(measure, found.interval)) === 'confirmed';
  });
}

const seedCount = (study: Study, method: string, set: string) =>
  new Set(study.cells({ method, set }).map(({ seed }) => seed)).size;

/** What a hypothesis says, in words. */
export function claim({ test, margin, measure, times }: Hypothesis, first: string, other: string): string {
  const { unit, label, better: direction } = MEASURES[measure];
  const of = unit === '%' ? 'points' : unit;
  const second = times === 1 ? other : `${times} times ${other}`;
  if (test === 'non-inferior') return `${first} loses less than ${margin} ${of} to ${second}: ${label}`;
  return `${first} is ${direction} than ${second}${margin > 0 ? ` by more than ${margin} ${of}` : ''}: ${label}`;
}

/** Where a hypothesis is tested, in words. */
export function place(study: Study, { set, depth, about }: Hypothesis): string {
  const label = study.results.sets.find(({ id }) => id === set)?.label ?? set;
  const of = about === 'bundle' ? ', the bundle of the first seed' : '';
  return `${label}${depth > 0 ? `, ${depth} tokens prefilled` : ''}${of}`;
}

/** States a hypothesis, what was found, and why that does or does not decide it. */
export function statement(study: Study, outcome: Outcome): string {
  const { hypothesis, first, second, difference, bySeed, because } = outcome;
  const says = `**${claim(hypothesis, first, second)}** (${place(study, hypothesis)}).`;
  if (!difference) return `${says} Not tested: ${because}.`;
  const { unit, digits } = MEASURES[hypothesis.measure];
  const of = unit === '%' ? 'percentage points' : unit;
  const seeds = bySeed.length > 1 ? ` By seed: ${bySeed.map((gap) => signed(gap, digits)).join(', ')}.` : '';
  const { questions, topics } = difference;
  return `${says} ${formatDifference(difference, hypothesis.measure)} ${of} on ${questions} questions of ${topics} topics: ${because}.${seeds}`;
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
