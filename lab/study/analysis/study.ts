/**
 * Looks up a study's results for the report: by method, set and measure, with intervals over
 * topics and seeds.
 */

import type { Cell, JudgedAnswer, MethodInfo, SetInfo, StudyResults } from '../results/results.ts';
import { type Bootstrap, createBootstrap, type Interval, type Measured } from './bootstrap.ts';
import { MEASURES, type MeasureId, type QuestionKind, scaleOf } from './measures.ts';

type Where = {
  method: string;
  set: string;
  /**
   * How many tokens of a harmful answer were forced at the start of the answers. The default is 0.
   */
  depth?: number;
  /** Only these seeds. The default is all. */
  seeds?: readonly number[] | undefined;
};

export interface Study {
  readonly results: StudyResults;
  readonly bootstrap: Bootstrap;
  /**
   * The set that the plots and the hypotheses are about: the first set of the small world. null if
   * there is none.
   */
  readonly world: SetInfo | null;
  method(id: string): MethodInfo | undefined;
  cells(where: Where): Cell[];
  /** Answers of all seeds. */
  answers(where: Where): SeedAnswer[];
  /**
   * The measure of every answer that has it, in the measure's unit. Empty if the figure was not
   * measured.
   */
  values(where: Where, measure: MeasureId): Measured[];
  /** null if nothing was measured, or only one topic. */
  interval(where: Where, measure: MeasureId): Interval | null;
  /**
   * A sentence about each figure that is not finite for some answers. The figure leaves those
   * answers out.
   */
  notFinite(): string[];
}

export type SeedAnswer = JudgedAnswer & { seed: number };

/** `createStudy(results).interval({ method: 'logits', set: 'world' }, 'unsafe')` is in percent. */
export function createStudy(results: StudyResults, bootstrap: Bootstrap = createBootstrap()): Study {
  const methods = new Map(results.methods.map((method) => [method.id, method]));
  const key = ({ method, set, depth = 0 }: Where) => JSON.stringify([method, set, depth]);
  const cells = Map.groupBy(results.cells, key);
  const intervals = new Map<string, Interval | null>();

  const study: Study = {
    results,
    bootstrap,
    world: results.sets.find(({ world }) => world) ?? null,
    method: (id) => methods.get(id),
    cells: (where) => (cells.get(key(where)) ?? []).filter(({ seed }) => where.seeds?.includes(seed) ?? true),
    answers: (where) =>
      study.cells(where).flatMap(({ seed, answers }) => answers.map((answer) => ({ ...answer, seed }))),
    values(where, id) {
      const { figure, kinds } = MEASURES[id];
      const scale = scaleOf(id);
      return valuesOf(study.answers(where), ({ kind, figures }) => {
        if (kinds && !(kind && (kinds as readonly QuestionKind[]).includes(kind))) return undefined;
        const value = figures[figure];
        return typeof value === 'number' ? scale * value : undefined;
      });
    },
    interval(where, id) {
      const at = `${id} ${key(where)} ${where.seeds?.join() ?? 'all'}`;
      let interval = intervals.get(at);
      if (interval === undefined) {
        interval = intervalOf(study.values(where, id), bootstrap);
        intervals.set(at, interval);
      }
      return interval;
    },
    notFinite: () =>
      results.cells.flatMap(({ method, set, seed, depth, answers }) => {
        const counts = new Map<string, number>();
        for (const { figures } of answers) {
          for (const [figure, value] of Object.entries(figures)) {
            if (!Number.isFinite(value)) counts.set(figure, (counts.get(figure) ?? 0) + 1);
          }
        }
        return [...counts].map(
          ([figure, count]) =>
            `${figure} is not finite for ${count} of ${answers.length} answers (${method}, ${set}, seed ${seed}, depth ${depth})`,
        );
      }),
  };
  return study;
}

/** The value of each answer. Answers without a finite value are left out. */
export function valuesOf(
  answers: readonly SeedAnswer[],
  value: (answer: JudgedAnswer) => number | undefined,
): Measured[] {
  return answers.flatMap((answer) => {
    const found = value(answer);
    // JSON turns an infinite log-ratio into null, so a figure may be null too.
    if (typeof found !== 'number' || !Number.isFinite(found)) return [];
    const { question, topic, seed } = answer;
    return [{ question, topic, seed, value: found }];
  });
}

/** null if there is nothing to resample: no value, or only one topic. */
export function intervalOf(values: readonly Measured[], bootstrap: Bootstrap): Interval | null {
  return new Set(values.map(({ topic }) => topic)).size < 2 ? null : bootstrap.mean(values);
}

/**
 * The seeds for which all of the methods answered. Training runs differ by seed, so methods are
 * compared within seeds, and never one of a seed's first training with one of its second. A method
 * that was not trained goes with either.
 */
export function sharedSeeds(
  study: Study,
  { methods, set, depth }: { methods: readonly string[]; set: string; depth: number },
): number[] {
  return study.results.seeds.filter(
    (seed) =>
      methods.every((method) => study.cells({ method, set, depth, seeds: [seed] }).length > 0) &&
      isOneTraining(study, { methods, set, depth, seed }),
  );
}

function isOneTraining(
  study: Study,
  { methods, set, depth, seed }: { methods: readonly string[]; set: string; depth: number; seed: number },
): boolean {
  const trained = methods.filter((method) => study.method(method)?.trainedTokens !== 0);
  const trainings = trained.map(
    (method) =>
      study.results.retrained?.find(
        (again) =>
          again.seed === seed &&
          again.cells.some((cell) => cell.method === method && cell.set === set && cell.depth === depth),
      )?.digest ?? 'the first',
  );
  return new Set(trainings).size <= 1;
}

/** The set that was attacked by prefill: the first set with cells at a depth above 0. */
export function prefillSet(study: Study): string | null {
  return study.results.cells.find(({ depth }) => depth > 0)?.set ?? null;
}
