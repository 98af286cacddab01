/**
 * Tests the hypotheses of the file on what was measured. Each becomes one row of the report's table
 * of verdicts, and every sentence of the report about methods comes from such a row.
 */
import type { Interval } from './bootstrap.ts';
import type { HypothesesFile, Hypothesis } from './hypotheses-file.ts';
import { MEASURES, type MeasureId } from './measures.ts';
import { type Study, sharedSeeds } from './study.ts';

export type Verdict = 'confirmed' | 'refuted' | 'not decided' | 'missing';

/** Means over seeds can leave 1e-17 although there is no difference at all. */
const ROUNDING = 1e-9;

/**
 * `gain` is the interval of A's gain over B, positive if A is better. The whole interval must be on
 * one side of the border: `margin` for superior, `-margin` for non-inferior.
 */
export function verdictOf(
  { test, margin }: Pick<Hypothesis, 'test' | 'margin'>,
  gain: Pick<Interval, 'low' | 'high'>,
): Exclude<Verdict, 'missing'> {
  const border = test === 'superior' ? margin : -margin;
  if (gain.low > border + ROUNDING) return 'confirmed';
  return gain.high < border - ROUNDING ? 'refuted' : 'not decided';
}

export type Outcome = {
  hypothesis: Hypothesis;
  /** Method A and method B, as tables name them. */
  first: string;
  second: string;
  verdict: Verdict;
  /** First minus second, in the measure's unit; null if something is missing. */
  difference: Interval | null;
  /** The same difference for each seed alone. */
  bySeed: number[];
  because: string;
};

/**
 * Tests every hypothesis about this study, in the file's order. The list includes those that lack
 * something. Where the oracle does not know more than `mostUnknown` percent of the sentences of one
 * of the two methods, it decides nothing.
 */
export function testHypotheses(
  study: Study,
  { hypotheses, mostUnknown }: Pick<HypothesesFile, 'hypotheses' | 'mostUnknown'>,
): Outcome[] {
  const own = hypotheses.filter((hypothesis) => hypothesis.study === study.results.study);
  return own.map((hypothesis) => {
    const { first, second, set, depth, measure, times, about } = hypothesis;
    const label = (id: string) => study.method(id)?.label ?? id;
    const base = { hypothesis, first: label(first), second: label(second) };
    const lacking = (because: string): Outcome => ({
      ...base,
      verdict: 'missing',
      difference: null,
      bySeed: [],
      because,
    });
    for (const id of [first, second]) if (!study.method(id)) return lacking(`no method has the id ${id}`);
    if (!study.results.sets.some(({ id }) => id === set)) return lacking(`no set has the id ${set}`);
    const seeds = about === 'bundle' ? study.results.seeds.slice(0, 1) : undefined;
    const difference = differenceOf(study, { first, second, measure, set, depth, times, seeds });
    if ('missing' in difference) return lacking(difference.missing);
    const { interval, bySeed } = difference;
    if (about === 'method' && interval.seeds < 2) {
      const because = 'one seed: the interval does not cover how training runs differ';
      return { ...base, verdict: 'not decided', difference: interval, bySeed, because };
    }
    for (const method of [first, second]) {
      const unknown = study.interval({ method, set, depth, seeds }, 'unknown')?.mean ?? 0;
      if (unknown <= mostUnknown) continue;
      const because = `the oracle does not know ${unknown.toFixed(0)} % of the sentences of ${label(method)}, and decides nothing above ${mostUnknown} %`;
      return { ...base, verdict: 'not decided', difference: interval, bySeed, because };
    }
    const verdict = verdictOf(hypothesis, gainOf(measure, interval));
    return { ...base, verdict, difference: interval, bySeed, because: reason(hypothesis, verdict) };
  });
}

function reason({ test, margin }: Hypothesis, verdict: Exclude<Verdict, 'missing'>): string {
  const border = test === 'superior' ? (margin === 0 ? 'no gain' : `a gain of ${margin}`) : `a loss of ${margin}`;
  return {
    confirmed: `the whole interval is better than ${border}`,
    refuted: `the whole interval is worse than ${border}`,
    'not decided': `the interval reaches to both sides of ${border}`,
  }[verdict];
}

/** The interval of the gain, positive if the first is better. */
export function gainOf(measure: MeasureId, { low, high }: Pick<Interval, 'low' | 'high'>) {
  return MEASURES[measure].better === 'lower' ? { low: -high, high: -low } : { low, high };
}

export type Difference = { interval: Interval; bySeed: number[] } | { missing: string };

/** First minus `times` the second on the same questions, over the seeds that both have. */
export function differenceOf(
  study: Study,
  {
    first,
    second,
    measure,
    set,
    depth = 0,
    times = 1,
    seeds: wanted,
  }: {
    first: string;
    second: string;
    measure: MeasureId;
    set: string;
    depth?: number;
    times?: number;
    seeds?: readonly number[] | undefined;
  },
): Difference {
  const where = `on ${set}${depth > 0 ? ` at depth ${depth}` : ''}`;
  const label = (id: string) => study.method(id)?.label ?? id;
  const lacking = [first, second].filter((method) => study.values({ method, set, depth }, measure).length === 0);
  if (lacking.length > 0) {
    return {
      missing: `${MEASURES[measure].label} was not measured ${where} for ${lacking.map(label).join(' and ')}`,
    };
  }
  const shared = sharedSeeds(study, { methods: [first, second], set, depth });
  const seeds = shared.filter((seed) => wanted?.includes(seed) ?? true);
  if (seeds.length === 0) return { missing: `${label(first)} and ${label(second)} share no seed ${where}` };
  try {
    const between = (which: readonly number[]) =>
      study.bootstrap.difference(
        study.values({ method: first, set, depth, seeds: which }, measure),
        study
          .values({ method: second, set, depth, seeds: which }, measure)
          .map((answer) => ({ ...answer, value: times * answer.value })),
      );
    return { interval: between(seeds), bySeed: seeds.map((seed) => between([seed]).mean) };
  } catch (error) {
    // Some cells were cut short, or all questions have one topic. We show no difference.
    if (error instanceof RangeError) return { missing: error.message };
    throw error;
  }
}
