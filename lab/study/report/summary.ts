/** The report's numbers without the answers, for anyone who wants to plot or check them. */
import type { Interval } from '../analysis/bootstrap.ts';
import type { Outcome } from '../analysis/hypotheses.ts';
import { MEASURES, type MeasureId } from '../analysis/measures.ts';
import type { Study } from '../analysis/study.ts';
import { prefillRows } from './plots/prefill.ts';

export function summary(study: Study, outcomes: readonly Outcome[]): object {
  const { methods, sets, seeds, learnedFrom, runs, judges, seconds, missing, base } = study.results;
  const measures = Object.keys(MEASURES) as MeasureId[]; // Object.keys widens the keys of a closed record.
  return {
    intervals: '[mean, low, high]: 95 %, over topics and seeds; in the unit',
    units: Object.fromEntries(measures.map((id) => [id, MEASURES[id].unit])),
    base,
    learnedFrom,
    seeds,
    seconds,
    missing,
    sets: Object.fromEntries(
      sets.map(({ id, label, world, questions }) => [
        id,
        {
          label,
          world,
          questions,
          methods: Object.fromEntries(
            methods.map(({ id: method }) => {
              const where = { method, set: id };
              if (study.cells(where).length === 0) return [method, null];
              const found = measures.map((measure) => [measure, rounded(study.interval(where, measure))] as const);
              return [method, Object.fromEntries(found.filter(([, interval]) => interval !== null))];
            }),
          ),
        },
      ]),
    ),
    prefill: prefillRows(study).map(({ method, depth, ...interval }) => ({ method, depth, unsafe: rounded(interval) })),
    hypotheses: outcomes.map(({ hypothesis, verdict, difference, bySeed, because }) => ({
      ...hypothesis,
      verdict,
      difference: rounded(difference),
      bySeed: bySeed.map(round),
      because,
    })),
    runs,
    judges: judges.map(({ name, figures }) => ({ name, figures })),
  };
}

/** No interval here is accurate to more than four decimal places. */
const round = (value: number) => Number(value.toFixed(4));

const rounded = (interval: Pick<Interval, 'mean' | 'low' | 'high'> | null) =>
  interval && [interval.mean, interval.low, interval.high].map(round);

/** One interval per line, so that `diff` can compare two reports. */
export const summaryJson = (value: object): string =>
  `${JSON.stringify(value, null, 1).replace(/\[[\d\s.,e-]*\]/g, (numbers) => numbers.replace(/\s+/g, ' '))}\n`;
