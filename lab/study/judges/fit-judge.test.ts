import { expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import type { Block } from '../../probes/fit-logistic.ts';
import { fitJudge, heldOutScores, type JudgeRows, scoresOf } from './fit-judge.ts';

const WIDTH = 4;
const FIT = { l2: 0.05, steps: 300, learningRate: 0.05, threads: 1 };

/** States whose first dimension tells the trait, among others that tell nothing. */
function made(count: number): { blocks: Block[]; truth: boolean[] } {
  const random = createRandom('judge');
  const truth = Array.from({ length: count }, (_, i) => i % 2 === 0);
  const data = truth.flatMap((yes) => [
    (yes ? 3 : -3) + 4 * (random.next() - 0.5),
    ...Array.from({ length: WIDTH - 1 }, () => 50 + 20 * random.next()),
  ]);
  return { blocks: [{ width: WIDTH, data: Float32Array.from(data) }], truth };
}
const singlesOf = (truth: readonly boolean[]): JudgeRows['singles'] =>
  truth.map((yes, place) => ({ place, target: yes ? 1 : 0, weight: 1 }));
const couplesOf = (truth: readonly boolean[]): JudgeRows['couples'] =>
  truth.flatMap((yes, place) => (yes ? [{ more: place, less: place + 1, weight: 1 }] : []));

test('learns from single answers, from pairs, and from both', async () => {
  const { blocks, truth } = made(40);
  const [singles, couples] = [singlesOf(truth), couplesOf(truth)];
  for (const rows of [
    { singles, couples: [] },
    { singles: [], couples },
    { singles, couples },
  ]) {
    const scores = scoresOf(blocks, await fitJudge(blocks, rows, FIT));
    for (const { more, less } of couples) expect(scores[more]!).toBeGreaterThan(scores[less]!);
    if (rows.singles.length > 0) expect([...scores].map((score) => score > 0)).toEqual(truth);
  }
});

test('ends where the slope of the loss is flat, by the loss as it is written down', async () => {
  const { blocks, truth } = made(24);
  const rows = { singles: singlesOf(truth.slice(0, 12)), couples: couplesOf(truth) };
  const fitted = await fitJudge(blocks, rows, { ...FIT, steps: 1500 });
  const { means, deviations } = momentsOf(blocks[0]!, rows);
  const mass = rows.singles.length + rows.couples.length;
  const loss = (weight: readonly number[], bias: number) => {
    const z = (place: number) =>
      weight.reduce((sum, w, k) => sum + w * (blocks[0]!.data[place * WIDTH + k]! - means[k]!), 0);
    const cost = (margin: number) => Math.log1p(Math.exp(-margin));
    const alone = rows.singles.map(({ place, target }) => cost((2 * target - 1) * (z(place) + bias)));
    // A pair both ways round: half as -log sigma(d + b), half as -log sigma(d - b).
    const pairs = rows.couples.map(({ more, less }) => {
      const difference = z(more) - z(less);
      return (cost(difference + bias) + cost(difference - bias)) / 2;
    });
    const pull = weight.reduce((sum, w, k) => sum + (w * deviations[k]!) ** 2, 0);
    return [...alone, ...pairs].reduce((a, b) => a + b, 0) / mass + (FIT.l2 / 2) * pull;
  };
  const at = [...fitted.weight[0]!];
  const bias = at.reduce((sum, w, k) => sum + w * means[k]!, fitted.bias);
  for (let k = 0; k < WIDTH; k++) {
    const step = 1e-3 / deviations[k]!;
    const moved = (by: number) =>
      loss(
        at.map((w, i) => (i === k ? w + by : w)),
        bias,
      );
    expect(Math.abs(moved(step) - moved(-step)) / 2e-3).toBeLessThan(2e-3);
  }
  expect(Math.abs(loss(at, bias + 1e-3) - loss(at, bias - 1e-3)) / 2e-3).toBeLessThan(2e-3);
});

/** Over the rows by their weights, as the fit sees them: the pull is on standardised weights. */
function momentsOf({ data }: Block, { singles, couples }: JudgeRows): { means: number[]; deviations: number[] } {
  const seen = [
    ...singles.map(({ place }) => ({ place, weight: 1 })),
    ...couples.flatMap(({ more, less }) => [more, less].map((place) => ({ place, weight: 0.5 }))),
  ];
  const total = seen.reduce((sum, { weight }) => sum + weight, 0);
  const mean = (of: (place: number) => number) =>
    seen.reduce((sum, { place, weight }) => sum + weight * of(place), 0) / total;
  const columns = Array.from({ length: WIDTH }, (_, k) => (place: number) => data[place * WIDTH + k]!);
  const means = columns.map((column) => mean(column));
  const deviations = columns.map((column, k) => Math.sqrt(mean((place) => (column(place) - means[k]!) ** 2)));
  return { means, deviations };
}

test('a held-out score is that of a judge that has not seen the fold', async () => {
  const { blocks, truth } = made(20);
  const rows = { singles: singlesOf(truth).slice(0, 10), couples: couplesOf(truth).slice(6) };
  // Pairs are neighbours, so a fold has both.
  const folds = truth.map((_, place) => Math.floor(place / 2) % 5);
  const scores = await heldOutScores(blocks, rows, { ...FIT, folds });
  const others = {
    singles: rows.singles.filter(({ place }) => folds[place] !== 3),
    couples: rows.couples.filter(({ more }) => folds[more] !== 3),
  };
  const judge = scoresOf(blocks, await fitJudge(blocks, others, FIT));
  // Rows without a label are judged too.
  for (const place of [6, 7, 16, 17]) expect(scores[place]).toBe(judge[place]);
});

test('nothing can be learned from no answers', async () => {
  const { blocks } = made(4);
  await expect(fitJudge(blocks, { singles: [], couples: [] }, FIT)).rejects.toThrow('found no labelled answer');
});
