/**
 * Intervals that cover the luck of the questions, of their topics and of the training runs. An
 * answer is placed by its question and its seed. Questions belong to topics; every seed answers
 * every question. A resample has two parts:
 *
 *     mean of topics, drawn with replacement     +     t * s / sqrt(seeds)
 *
 * **Topics.** A topic comes with all its questions, and a question with the answers of all its
 * seeds, because neither are independent of each other. Drawing the questions of a drawn topic once
 * more would count their variance twice (Davison and Hinkley, Bootstrap Methods, 1997, section
 * 3.8). Where each question is a topic of its own, this is the bootstrap over questions (Efron
 * 1979). Deviations are widened by sqrt(n / (n - 1)) for n topics, which a bootstrap lacks.
 *
 * **Seeds.** There are three of them. Drawing three seeds out of three with replacement would show
 * two thirds of their variance, and nothing of how badly three values tell a variance. So the seeds
 * come in by Student's t with one degree of freedom less than there are seeds; `s` is the standard
 * deviation of the seeds' own means. In simulated studies (bootstrap.test.ts) resampled seeds cover
 * the truth about three times in four where they promise 95 %. This covers it at least as often as
 * it says.
 *
 * Both parts together are the interval of Behrens and Fisher. What belongs to one seed and one
 * question counts in both, so the interval errs on the wide side. With one seed, nobody can know
 * how runs differ. The interval then covers topics alone, and says so in `seeds`.
 */
import { LRUCache } from 'lru-cache';
import { createRandom } from '#training/data/random.ts';
import { tQuantile } from './student-t.ts';

/** In the unit of the values, with the 95 % interval of the mean. */
export type Interval = {
  mean: number;
  low: number;
  high: number;
  questions: number;
  topics: number;
  /** 1: the interval does not cover how runs differ. */
  seeds: number;
};

/** One measured answer. */
export type Measured = { question: string; topic: string; seed: number; value: number };

export interface Bootstrap {
  /**
   * Interval of the mean over questions of the mean over seeds. Throws a RangeError if there is no
   * answer, only one topic, or a value that is not finite.
   */
  mean(values: readonly Measured[]): Interval;
  /**
   * Interval of the mean of `first - second` on the same questions and seeds. That takes out how
   * hard a question is.
   *
   * Throws a RangeError that names the questions which only one of the two has.
   */
  difference(first: readonly Measured[], second: readonly Measured[]): Interval;
}

/**
 * `createBootstrap().mean([{ question: 'q1', topic: 'bees', seed: 7, value: 1 }, ...])`. The same
 * seed gives the same intervals, whatever the order of the answers.
 */
export function createBootstrap({
  resamples = 4_000,
  seed = 'bootstrap',
}: {
  resamples?: number;
  seed?: string;
} = {}): Bootstrap {
  // All figures on n topics share one plan of draws. Only a few sizes come up often, and a plan
  // takes megabytes.
  const plans = new LRUCache<number, Uint32Array>({ max: 12 });
  const plan = (topics: number): Uint32Array => {
    let draws = plans.get(topics);
    if (!draws) {
      const random = createRandom(`${seed}/${topics}`);
      draws = Uint32Array.from({ length: resamples * topics }, () => Math.floor(random.next() * topics));
      plans.set(topics, draws);
    }
    return draws; // [resamples, topics]
  };
  const tails = new LRUCache<number, readonly number[]>({ max: 12 });
  /** One draw of t for each resample, evenly spread over the distribution, in random order. */
  const tDraws = (df: number): readonly number[] => {
    let draws = tails.get(df);
    if (!draws) {
      const even = Array.from({ length: resamples }, (_, i) => tQuantile((i + 0.5) / resamples, df));
      draws = createRandom(`${seed}/t/${df}`).shuffle(even);
      tails.set(df, draws);
    }
    return draws;
  };

  return {
    mean(values) {
      const { mean, topics, questions, seedMeans } = gather(values);
      const draws = plan(topics.length);
      const widen = Math.sqrt(topics.length / (topics.length - 1));
      const seeds = seedMeans.length;
      const t = seeds > 1 ? tDraws(seeds - 1) : null;
      const error = t ? standardDeviation(seedMeans) / Math.sqrt(seeds) : 0;
      const means = new Float64Array(resamples);
      for (let r = 0, at = 0; r < resamples; r++) {
        let [sum, count] = [0, 0];
        for (let i = 0; i < topics.length; i++, at++) {
          const topic = topics[draws[at]!]!;
          sum += topic.sum;
          count += topic.count;
        }
        means[r] = mean + widen * (sum / count - mean) + (t ? t[r]! * error : 0);
      }
      means.sort();
      const [low, high] = [quantile(means, 0.025), quantile(means, 0.975)];
      return { mean, low, high, questions, topics: topics.length, seeds };
    },
    difference(first, second) {
      const key = ({ question, seed: run }: Measured) => JSON.stringify([question, run]);
      const others = new Map(second.map((answer) => [key(answer), answer.value]));
      const own = new Set(first.map(key));
      const lone = [
        ...first.filter((answer) => !others.has(key(answer))),
        ...second.filter((answer) => !own.has(key(answer))),
      ].map(({ question }) => question);
      if (lone.length > 0) {
        throw new RangeError(`bootstrap: only one side has the questions ${[...new Set(lone)].sort().join(', ')}`);
      }
      return this.mean(first.map((answer) => ({ ...answer, value: answer.value - others.get(key(answer))! })));
    },
  };
}

type Gathered = {
  mean: number;
  questions: number;
  /** The sum and the number of its questions' means. */
  topics: { sum: number; count: number }[];
  /** The mean of each seed over its questions, less those questions' means over all seeds. */
  seedMeans: number[];
};

function gather(values: readonly Measured[]): Gathered {
  if (values.length === 0) throw new RangeError('bootstrap: there is no question');
  // Sorted, so that the draws pick the same topics whatever order a set was read in.
  const sorted = [...Map.groupBy(values, ({ question }) => question)].sort(([a], [b]) => (a < b ? -1 : 1));
  const questionMeans = new Map(
    sorted.map(([question, answers]) => {
      const mean = answers.reduce((sum, { value }) => sum + value, 0) / answers.length;
      if (!Number.isFinite(mean)) throw new RangeError(`bootstrap: question ${question} has no finite mean`);
      return [question, mean] as const;
    }),
  );
  const topics = new Map<string, { sum: number; count: number }>();
  for (const [question, answers] of sorted) {
    const topic = topics.get(answers[0]!.topic) ?? { sum: 0, count: 0 };
    topics.set(answers[0]!.topic, topic);
    topic.sum += questionMeans.get(question)!;
    topic.count++;
  }
  if (topics.size < 2) throw new RangeError('bootstrap: one topic alone has no interval');
  const seedMeans = [...Map.groupBy(values, ({ seed }) => seed)]
    .sort(([a], [b]) => a - b)
    .map(([, answers]) => {
      const gaps = answers.map(({ question, value }) => value - questionMeans.get(question)!).sort((a, b) => a - b);
      return gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    });
  const mean = [...questionMeans.values()].reduce((sum, value) => sum + value, 0) / questionMeans.size;
  return { mean, questions: questionMeans.size, topics: [...topics.values()], seedMeans };
}

function standardDeviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

/** A quantile of sorted values, linear between neighbours. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}
