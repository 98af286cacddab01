import { expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { Batcher, Cores, Simulation } from './simulation.ts';

/** Times until the next of a Poisson process, or a service without memory. */
const exponential = (uniform: () => number, mean: number) => -Math.log(1 - uniform()) * mean;

const UNBOUNDED = { mostSequences: Number.POSITIVE_INFINITY, mostMs: Number.POSITIVE_INFINITY };

/** The mean time in the station, of jobs that come at random with `rate` a millisecond. */
function meanStay(
  { rate, jobs, seed }: { rate: number; jobs: number; seed: string },
  station: (simulation: Simulation, uniform: () => number) => (done: () => void) => void,
): number {
  const random = createRandom(seed);
  const uniform = () => random.next();
  const simulation = new Simulation();
  const serve = station(simulation, uniform);
  let [sum, count, left] = [0, 0, jobs];
  const arrive = () => {
    if (left-- === 0) return;
    const began = simulation.now;
    serve(() => {
      sum += simulation.now - began;
      count++;
    });
    simulation.after(exponential(uniform, 1 / rate), arrive);
  };
  arrive();
  simulation.runUntil(Number.MAX_VALUE);
  expect(count).toBe(jobs);
  return sum / count;
}

/** Erlang's C: the chance that a job has to wait, for c servers and the load a = rate * mean. */
function erlangC(c: number, a: number): number {
  let [term, below] = [1, 0];
  for (let k = 0; k < c; k++) {
    below += term;
    term *= a / (k + 1);
  }
  const all = term / (1 - a / c);
  return all / (below + all);
}

test('events come in the order of their times, and of their planning where these are equal', () => {
  const simulation = new Simulation();
  const random = createRandom('order');
  const seen: [number, number][] = [];
  for (let i = 0; i < 500; i++) {
    const at = Math.floor(random.next() * 20);
    simulation.after(at, () => seen.push([simulation.now, i]));
  }
  simulation.runUntil(15);
  expect(simulation.now).toBe(15);
  expect(seen).toEqual(seen.toSorted(([a, i], [b, j]) => a - b || i - j));
  expect(seen.at(-1)![0]).toBe(14);
});

test.each([
  [1, 0.5],
  [1, 0.8],
  [4, 3.2],
  [16, 12],
])('%i servers under the load %f are as slow as M/M/c says', (c, a) => {
  const mean = 3;
  const jobs = 400_000;
  const stay = meanStay({ rate: a / mean, jobs, seed: `mmc ${c} ${a}` }, (simulation, uniform) => {
    const cores = new Cores(simulation, c);
    return (done) => cores.serve(exponential(uniform, mean), done);
  });
  const exact = mean + (erlangC(c, a) * mean) / (c - a);
  // The mean of so many dependent stays is off by about a hundredth.
  expect(stay / exact).toBeGreaterThan(0.96);
  expect(stay / exact).toBeLessThan(1.04);
});

test('one server with a fixed time is as slow as Pollaczek and Khinchine say', () => {
  const [ms, load] = [2, 0.7];
  const stay = meanStay({ rate: load / ms, jobs: 300_000, seed: 'md1' }, (simulation) => {
    const cores = new Cores(simulation, 1);
    return (done) => cores.serve(ms, done);
  });
  const exact = ms + (load * ms) / (2 * (1 - load));
  expect(stay / exact).toBeCloseTo(1, 1);
});

test.each([0.3, 2, 20])('an engine whose steps take all that waits, at %f jobs a step', (jobsAStep) => {
  const ms = 5;
  const rate = jobsAStep / ms;
  const stay = meanStay({ rate, jobs: 200_000, seed: `bulk ${jobsAStep}` }, (simulation) => {
    const engine = new Batcher(simulation, { readMs: ms, ...UNBOUNDED });
    return (done) => engine.serve({ sequences: 1, ms: 0, isPrompt: false }, done);
  });
  // A busy period is e^(rate ms) steps in the mean, after an idle one of 1 / rate. A job that comes
  // while a step runs, anywhere in it, waits for its end.
  const busyMs = ms * Math.exp(rate * ms);
  const exact = ms + (busyMs / (busyMs + 1 / rate)) * (ms / 2);
  expect(stay / exact).toBeCloseTo(1, 2);
});

/** When each job of an engine ended, and how long its longest step was. */
function ends(
  limits: { mostSequences: number; mostMs: number },
  jobs: readonly (readonly [name: string, ms: number, sequences?: number])[],
) {
  const simulation = new Simulation();
  const engine = new Batcher(simulation, { readMs: 10, ...limits });
  const ended: [string, number][] = [];
  for (const [name, ms, sequences = 1] of jobs) {
    const isPrompt = name.startsWith('prompt');
    engine.serve({ sequences, ms, isPrompt }, () => ended.push([name, simulation.now]));
  }
  simulation.runUntil(1000);
  return { ended, longest: engine.longestMs, busy: engine.busyMs };
}

test('a step takes as many sequences as it may, keeps those of a job together, and pays for milliseconds', () => {
  const jobs = [
    ['first', 1],
    ['pair', 2, 2],
    ['second pair', 2, 2],
    ['last', 3],
  ] as const;
  const { ended, busy } = ends({ ...UNBOUNDED, mostSequences: 4 }, jobs);
  expect(ended).toEqual([
    ['first', 13],
    ['pair', 13],
    ['second pair', 28],
    ['last', 28],
  ]);
  expect(busy).toBe(28);
});

test('a prompt is one sequence, however long: two of them share a step with the questions behind them', () => {
  const jobs = [
    ['prompt 1', 15],
    ['prompt 2', 15],
    ['question', 1],
  ] as const;
  const { ended } = ends({ mostSequences: 3, mostMs: 50 }, jobs);
  expect(ended).toEqual(jobs.map(([name]) => [name, 41]));
});

test('a prompt that would make a step too long is read in parts, and a question is not', () => {
  const jobs = [
    ['question 1', 4],
    ['prompt', 100],
    ['question 2', 15],
    ['question 3', 20],
    ['question 4', 6],
  ] as const;
  const { ended, longest } = ends({ ...UNBOUNDED, mostMs: 50 }, jobs);
  // 36 of the prompt, 40, and the last 24 with the second question; the third one has no room.
  expect(ended).toEqual([
    ['question 1', 50],
    ['prompt', 149],
    ['question 2', 149],
    ['question 3', 185],
    ['question 4', 185],
  ]);
  expect(longest).toBe(50);
});
