import { describe, expect, test } from 'vitest';
import { float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { createRandom } from '../data/random.ts';
import { AdamW } from '../optim/adamw.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { emptyTensors } from '../stages/base-model.ts';
import { fillNormal } from '../stages/sft.ts';
import { expectGradients } from '../testing/numeric-gradient.ts';
import { TINY, tinyWeights } from '../testing/tiny-model.ts';
import { buildScoreTrainingGraph, buildScoringGraph, type ScoreKind, scoreShapes } from './score-graph.ts';

const [rows, length, rank] = [4, 6, 2];
const options = { base: tinyWeights(), rank, loraScale: 2 };
const random = createRandom('score-graph');
const values = Array.from({ length: rows * length }, () => random.int(3, TINY.vocab_size - 1));
const inputs = { ids: int64([rows, length], values), last: int64([rows], [5, 3, 4, 2]) };
const signs = [-1, 1, 0, 1];
const feeds = (kind: ScoreKind) => ({
  ...inputs,
  ...(kind === 'cost' && {
    signs: float32([rows], Float32Array.from(signs)),
    sign_weights: float32(
      [rows],
      Float32Array.from(signs, (sign) => Math.abs(sign) / 3),
    ),
  }),
});
const draw = () => {
  const parameters = emptyTensors(scoreShapes(TINY, rank));
  for (const [name, { data }] of parameters) fillNormal(data, 0.3, createRandom(`score/${name}`));
  return parameters;
};
const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x));

describe.each(['reward', 'cost'] as const)('the %s graph', (kind) => {
  const open = () => GraphSession.create(buildScoreTrainingGraph(TINY, { ...options, kind }), { threads: 1 });

  test('computes the published loss from its own scores', async () => {
    const { loss, scores } = await (await open()).run({ ...feeds(kind), ...parameterFeeds(draw()) });
    const s = scores!;
    const preference = [0, 1].map((i) => -logSigmoid(kind === 'reward' ? s[i]! - s[i + 2]! : s[i + 2]! - s[i]!));
    const sign = signs.map((sign, i) => (sign === 0 ? 0 : -logSigmoid(sign * s[i]!) / 3));
    const sum = (terms: number[]) => terms.reduce((a, b) => a + b, 0);
    expect(loss![0]).toBeCloseTo(sum(preference) / 2 + (kind === 'cost' ? sum(sign) : 0), 5);
  });

  test('has gradients that match finite differences', async () => {
    const session = await open();
    const parameters = draw();
    await expectGradients(parameters, () => session.run({ ...feeds(kind), ...parameterFeeds(parameters) }));
  });

  test('learns to order two pairs', async () => {
    const session = await open();
    const parameters = draw();
    const optimizer = await AdamW.create(parameters);
    let outputs: Record<string, Float32Array> = {};
    for (let step = 1; step <= 60; step++) {
      outputs = await session.run({ ...feeds(kind), ...parameterFeeds(parameters) });
      const gradients = new Map([...parameters.keys()].map((name) => [name, outputs[`grad.${name}`]!]));
      optimizer.step(gradients, { step, learningRate: 0.02 });
    }
    const direction = kind === 'reward' ? 1 : -1;
    for (const i of [0, 1]) expect(direction * (outputs.scores![i]! - outputs.scores![i + 2]!)).toBeGreaterThan(1);
  });
});

test('tokens after the last one do not change a score', async () => {
  const session = await GraphSession.create(buildScoringGraph(TINY, options), { threads: 1 });
  const parameters = parameterFeeds(draw());
  const before = await session.run({ ...inputs, ...parameters });
  // Row 1 ends at place 3, row 3 at place 2.
  const changed = values.map((id, i) => (i === length + 4 || i === 3 * length + 5 ? 3 : id));
  const after = await session.run({ ...inputs, ids: int64([rows, length], changed), ...parameters });
  expect([...after.scores!]).toEqual([...before.scores!]);
});

test('a head without LoRA has gradients that match finite differences', async () => {
  const headOnly = { ...options, rank: 0, loraScale: 0, kind: 'reward' as const };
  const parameters = emptyTensors(scoreShapes(TINY, 0));
  expect([...parameters.keys()]).toEqual(['head.weight', 'head.bias']);
  fillNormal(parameters.get('head.weight')!.data, 0.3, createRandom('head'));
  const session = await GraphSession.create(buildScoreTrainingGraph(TINY, headOnly), { threads: 1 });
  await expectGradients(parameters, () => session.run({ ...feeds('reward'), ...parameterFeeds(parameters) }));
});
