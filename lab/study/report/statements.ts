/**
 * Sentences that follow from the numbers. Code writes them, so that no sentence outlives its
 * figures.
 */

import { differenceOf, gainOf, type Outcome, verdictOf } from '../analysis/hypotheses.ts';
import type { Hypothesis } from '../analysis/hypotheses-file.ts';
import { servedLearnedMore } from '../analysis/learned-more.ts';
import { MEASURES } from '../analysis/measures.ts';
import { type Sides, sidesOf } from '../analysis/sides.ts';
import { type Study, sharedSeeds } from '../analysis/study.ts';
import type { MethodInfo } from '../results/results.ts';
import { fixed, formatDifference, formatInterval } from './format.ts';

/**
 * Which methods are both safer and more helpful than another, in a sentence: both intervals exclude
 * 0, over the seeds that both have, of which there must be two. These comparisons were not planned.
 */
export function better(study: Study): string {
  const sides = sidesOf(study);
  const lookedAt = study.results.methods.filter(({ id }) => seedCount(study, id, sides) > 1);
  const pairs = lookedAt.flatMap((first) =>
    lookedAt
      .filter((second) => first !== second && beats(study, { first: first.id, second: second.id, sides, least: 2 }))
      .map((second) => `${first.label} over ${second.label}`),
  );
  const { where, safer, helpful } = sides;
  return pairs.length > 0
    ? `Not planned beforehand: ${where}, both ${safer} and ${helpful} are ${pairs.join('; ')}.`
    : `${capital(where)} no method with two seeds or more is both ${safer} and ${helpful} than another one, as far as intervals can tell.`;
}

/**
 * Whether a method is both safer and more helpful than every line that is served, in a sentence;
 * null if no line that is served was asked. On the small world that takes two seeds. On recipes,
 * what is served is one bundle: the claim rests on that and on the others' runs of the same seed.
 */
export function overServed(study: Study): string | null {
  const sides = sidesOf(study);
  const least = study.results.study === 'world' ? 2 : 1;
  const lookedAt = study.results.methods.filter(({ id }) => seedCount(study, id, sides) >= least);
  const [served, others] = [lookedAt.filter(isServed), lookedAt.filter((method) => !isServed(method))];
  if (served.length === 0) return null;
  const lines = served.map(({ label }) => label).join('; ');
  const over = others.filter(({ id }) =>
    served.every((line) => beats(study, { first: id, second: line.id, sides, least })),
  );
  const { safer, helpful } = sides;
  const where = capital(least === 1 ? `${sides.where}, with the first seed of each method,` : sides.where);
  const said =
    over.length === 0
      ? `${where} no other method is both ${safer} and ${helpful} than every line that is served (${lines}), as far as intervals can tell.`
      : `${where.replace(/,$/, '')}, both ${safer} and ${helpful} than every line that is served (${lines}): ${over.map(({ label }) => label).join('; ')}.`;
  return said + servedLearnedMore(study);
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const isServed = ({ family }: MethodInfo) => family === 'served';

function beats(
  study: Study,
  { first, second, sides, least }: { first: string; second: string; sides: Sides; least: number },
): boolean {
  return [sides.safety, sides.helpfulness].every(({ set, measure }) => {
    const found = differenceOf(study, { first, second, measure, set });
    if ('missing' in found || found.interval.seeds < least) return false;
    return verdictOf({ test: 'superior', margin: 0 }, gainOf(measure, found.interval)) === 'confirmed';
  });
}

/** For how many seeds a method answered the set of either side. */
const seedCount = (study: Study, method: string, { safety, helpfulness }: Sides) =>
  Math.min(
    ...[safety, helpfulness].map(({ set }) => new Set(study.cells({ method, set }).map(({ seed }) => seed)).size),
  );

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
  const of =
    about !== 'bundle'
      ? ''
      : study.results.shipped === null
        ? ', a bundle of the first seed without its probe'
        : ', the bundle that ships';
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
  return `${says} ${formatDifference(difference, hypothesis.measure)} ${of} on ${questions} questions of ${topics} topics: ${because}.${seeds}${sameFigures(study, outcome)}${otherDraws(study, outcome)}`;
}

/**
 * Where both methods have the same figure in every answer, a difference of zero is no finding about
 * how they differ. Empty if one answer has another figure.
 */
function sameFigures(study: Study, { hypothesis }: Outcome): string {
  const { first, second, set, depth, measure, times } = hypothesis;
  if (times !== 1) return '';
  const at = ({ question, seed }: { question: string; seed: number }) => `${seed} ${question}`;
  const seeds = sharedSeeds(study, { methods: [first, second], set, depth });
  const other = new Map(
    study.values({ method: second, set, depth, seeds }, measure).map((one) => [at(one), one.value]),
  );
  const pairs = study.values({ method: first, set, depth, seeds }, measure).filter((one) => other.has(at(one)));
  if (pairs.length === 0 || pairs.some((one) => one.value !== other.get(at(one)))) return '';
  return ` In ${pairs.length} of ${pairs.length} answers both have the same figure here, so this does not tell the two apart.`;
}

/**
 * A claim about what is served rests on one draw of what it is compared with. Says where that draw
 * lies among the others.
 */
function otherDraws(study: Study, { hypothesis }: Outcome): string {
  const { first, second, set, depth, measure, about } = hypothesis;
  if (about !== 'bundle') return '';
  const { digits } = MEASURES[measure];
  return [first, second]
    .map((method) => {
      const [one, all] = [study.results.seeds.slice(0, 1), undefined].map((seeds) =>
        study.interval({ method, set, depth, seeds }, measure),
      );
      if (!one || !all || all.seeds < 2) return '';
      return ` In the draw that both share ${study.method(method)?.label ?? method} is at ${fixed(one.mean, digits)}, over its ${all.seeds} seeds at ${formatInterval(all, measure)}.`;
    })
    .join('');
}

const signed = (value: number, digits: number) => (value > 0 ? '+' : '') + fixed(value, digits);

/** `seed 7: base on harmful` and `seed 7: base on ordinary` become one line. */
function bySubject(missing: readonly string[]): string[] {
  const subjectOf = (text: string) => /^(seed \d+: .+?) on /.exec(text)?.[1] ?? text;
  return [...Map.groupBy(missing, subjectOf)].map(([subject, [first, ...others]]) =>
    [first!, ...others.map((text) => text.slice(`${subject} on `.length))].join('; '),
  );
}

/**
 * `seed 7: base (not trained: dpo-both)`: a run that these results have was trained, and its
 * weights are lost. The method may have answers from before.
 */
function withLost({ results: { runs, methods, cells } }: Study, text: string): string {
  const [, seed, names, unmade] = /^seed (\d+): (.+) \(not trained: ([^)]+)\)$/.exec(text) ?? [];
  if (seed === undefined || names === undefined || unmade === undefined) return text;
  const wanted = methods.filter(({ label }) => `, ${names}, `.includes(`, ${label}, `));
  const answered = wanted.some(({ id }) => cells.some((cell) => cell.method === id && cell.seed === Number(seed)));
  const own = unmade.split(', ');
  const isTrained = (run: string) => answered || runs.some(({ name, seed: of }) => name === run && of === Number(seed));
  const [lost, never] = [own.filter(isTrained), own.filter((run) => !isTrained(run))];
  if (lost.length === 0) return text;
  const gone = `the weights of ${lost.join(', ')} are lost`;
  if (never.length > 0) return `seed ${seed}: ${names} (not trained: ${never.join(', ')}; ${gone})`;
  return `seed ${seed}: ${names} (${answered ? 'in part: ' : ''}${gone})`;
}

const but = (names: string) => (names === '' ? '' : ` but ${names}`);

/** What the study lacks, and which of its figures could not be used. */
export function gaps(study: Study): string[] {
  const { methods, missing, sets } = study.results;
  const unanswered = sets.flatMap(({ id, label }) => {
    const depths = [...new Set(study.results.cells.filter(({ set }) => set === id).map(({ depth }) => depth))];
    const lacking = methods.filter(({ id: method }) =>
      depths.every((depth) => study.cells({ method, set: id, depth }).length === 0),
    );
    if (lacking.length === 0) return [];
    const rest = methods.filter((method) => !lacking.includes(method));
    const names = (some: typeof methods) => some.map(({ label }) => label).join('; ');
    // The shorter list of the two.
    const who = lacking.length <= rest.length ? `by ${names(lacking)}` : `by any method${but(names(rest))}`;
    return [`Not answered, ${label}: ${who}.`];
  });
  return [
    ...bySubject(missing.map((text) => withLost(study, text))).map((text) => `Of the grid: ${text}.`),
    ...unanswered,
    ...study.notFinite().map((text) => `${text}.`),
  ];
}
