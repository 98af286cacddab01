/**
 * Bootstrap intervals (Efron 1979, the percentile interval) with a question as the unit. Resampling
 * draws whole questions, each with the values of all its seeds, because answers to one question
 * under several seeds are not independent. We compare two methods on the same questions by the
 * difference on each question, which takes out how hard the question is. The interval does not
 * cover how training runs differ, because seeds are averaged, not resampled.
 */
import { LRUCache } from 'lru-cache';
import { createRandom } from '#training/data/random.ts';

/** In the unit of the values, with the 95 % interval of the mean. */
export type Interval = { mean: number; low: number; high: number; questions: number };

/** Question id -> its values, one for each seed. */
export type ByQuestion = ReadonlyMap<string, readonly number[]>;

export interface Bootstrap {
  /**
   * Interval of the mean over questions of the mean over seeds. Throws a RangeError if there is no
   * question, or if a question has no finite mean.
   */
  mean(values: ByQuestion): Interval;
  /**
   * Interval of the mean of `first - second` over the same questions.
   *
   * Throws a RangeError that names the questions which only one of the two has.
   */
  difference(first: ByQuestion, second: ByQuestion): Interval;
}

/**
 * `createBootstrap().mean(new Map([['q1', [0, 1]], ['q2', [1]]]))`. The same seed gives the same
 * intervals, whatever the order of questions.
 */
export function createBootstrap({
  resamples = 2_000,
  seed = 'bootstrap',
}: {
  resamples?: number;
  seed?: string;
} = {}): Bootstrap {
  // All figures on n questions share one plan of draws. Only a few sizes come up often, and a plan
  // takes megabytes.
  const plans = new LRUCache<number, Uint32Array>({ max: 12 });
  const plan = (questions: number): Uint32Array => {
    let draws = plans.get(questions);
    if (!draws) {
      const random = createRandom(`${seed}/${questions}`);
      draws = Uint32Array.from({ length: resamples * questions }, () => Math.floor(random.next() * questions));
      plans.set(questions, draws);
    }
    return draws; // [resamples, questions]
  };

  const interval = (values: Float64Array): Interval => {
    const questions = values.length;
    const draws = plan(questions);
    const means = new Float64Array(resamples);
    for (let r = 0, at = 0; r < resamples; r++) {
      let sum = 0;
      for (let q = 0; q < questions; q++, at++) sum += values[draws[at]!]!;
      means[r] = sum / questions;
    }
    means.sort();
    const mean = values.reduce((sum, value) => sum + value, 0) / questions;
    return { mean, low: quantile(means, 0.025), high: quantile(means, 0.975), questions };
  };

  return {
    mean(values) {
      if (values.size === 0) throw new RangeError('bootstrap: there is no question');
      return interval(Float64Array.from(inOrder(values), (question) => seedMean(values, question)));
    },
    difference(first, second) {
      const lone = [...lacking(first, second), ...lacking(second, first)].sort();
      if (lone.length > 0) throw new RangeError(`bootstrap: only one side has the questions ${lone.join(', ')}`);
      if (first.size === 0) throw new RangeError('bootstrap: there is no question');
      return interval(
        Float64Array.from(inOrder(first), (question) => seedMean(first, question) - seedMean(second, question)),
      );
    },
  };
}

/** Sorted by id, so that the draws pick the same questions whatever order a set was read in. */
const inOrder = (values: ByQuestion): string[] => [...values.keys()].sort();

const lacking = (has: ByQuestion, lacks: ByQuestion): string[] =>
  [...has.keys()].filter((question) => !lacks.has(question));

function seedMean(values: ByQuestion, question: string): number {
  const all = values.get(question)!;
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  if (!Number.isFinite(mean)) throw new RangeError(`bootstrap: question ${question} has no finite mean`);
  return mean;
}

/** A quantile of sorted values, linear between neighbours. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}
