import { beforeAll, describe, expect, test } from 'vitest';
import { type Feed, float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { gateOf, slowActivation, slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { mixExperts } from '#shared/gate/index.ts';
import { createRandom } from '../data/random.ts';
import type { Parameters } from '../optim/adamw.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { emptyTensors } from '../stages/base-model.ts';
import { toBundle } from '../stages/router-weights.ts';
import { fillNormal } from '../stages/sft.ts';
import { expectGradients } from '../testing/numeric-gradient.ts';
import { slowBundle } from '../testing/slow-bundle.ts';
import { TINY, tinyWeights } from '../testing/tiny-model.ts';
import { buildScoreGraph } from './dpo-graph.ts';
import { frozenExpert, loraShapes } from './lora.ts';
import {
  buildRoutedScoreGraph,
  buildRouterGraph,
  type RouterKind,
  routerShapes,
  type Variant,
} from './router-graph.ts';

const [rows, length, rank, loraScale, width] = [4, 5, 2, 2, 3];
const base = tinyWeights();
const dims = [rows, length];
const random = createRandom('router-graph');
const draw = () => Array.from({ length: rows * length }, () => random.int(3, TINY.vocab_size - 1));
const [ids, targets] = [draw(), draw()];
const tokens = (to: number[] = targets, weight: (i: number) => number = (i) => Number(i % length > 1)) => ({
  ids: int64(dims, ids),
  targets: int64(dims, to),
  loss_weights: float32(
    dims,
    Float32Array.from(ids, (_, i) => weight(i)),
  ),
});

const loraOf = (name: string) => {
  const parameters = emptyTensors(loraShapes(TINY, rank));
  for (const [key, { data }] of parameters) fillNormal(data, 0.4, createRandom(`${name}/${key}`));
  return parameters;
};
const frozen = (lora: Parameters) => frozenExpert(lora, TINY);
const [safety, helpfulness] = [loraOf('safety'), loraOf('helpfulness')];
const options = (kind: RouterKind) => ({
  base,
  safety: frozen(safety),
  helpfulness: frozen(helpfulness),
  rank,
  loraScale,
  kind,
  width,
});

const routerOf = (kind: RouterKind, deviation: number) => {
  const parameters = emptyTensors(routerShapes(TINY, { kind, width }));
  for (const [key, { data }] of parameters)
    if (deviation > 0) fillNormal(data, deviation, createRandom(`router/${key}`));
  return parameters;
};
/** A router that gives the same shares everywhere. */
const constant = (kind: RouterKind, logits: [alpha: number, beta: number]) => {
  const parameters = routerOf(kind, 0);
  for (const [key, { data }] of parameters)
    if (/router\.(\d+|out)\.bias/.test(key)) data.set(kind === 'layers' ? logits : [logits[0]]);
  return parameters;
};

let score: GraphSession;
const scoreOf = async (lora: Parameters, feeds: Record<string, Feed>) => [
  ...(await score.run({ ...feeds, ...parameterFeeds(lora) })).logprobs!,
];
const routedScore = async (kind: RouterKind, router: Parameters, feeds: Record<string, Feed> = tokens()) => {
  const session = await GraphSession.create(buildRoutedScoreGraph(TINY, options(kind)), { threads: 1 });
  return session.run({ ...feeds, ...parameterFeeds(router) });
};
const close = (found: ArrayLike<number>, wanted: ArrayLike<number>) => {
  for (let i = 0; i < wanted.length; i++) expect(found[i]!).toBeCloseTo(wanted[i]!, 4);
};

beforeAll(async () => {
  score = await GraphSession.create(buildScoreGraph(TINY, { base, rank, loraScale }), { threads: 1 });
});

describe('a router at its extremes', () => {
  test.each<[string, RouterKind, [number, number], Parameters]>([
    ['layers, alpha 1 and beta 0: the safety expert', 'layers', [40, -40], safety],
    ['layers, alpha 0 and beta 1: the helpfulness expert', 'layers', [-40, 40], helpfulness],
    ['layers, both 0: the base', 'layers', [-40, -40], emptyTensors(loraShapes(TINY, rank))],
    ['logits, g 1: the safety expert', 'logits', [40, 0], safety],
    ['logits, g 0: the helpfulness expert', 'logits', [-40, 0], helpfulness],
  ])('%s', async (_, kind, logits, expert) => {
    const { logprobs } = await routedScore(kind, constant(kind, logits));
    close(logprobs!, await scoreOf(expert, tokens()));
  });
});

test('between its extremes, the logits router gives the mixture that the gate serves', async () => {
  const router = routerOf('logits', 0.5);
  const { safety: shares } = await routedScore('logits', router);
  // Collects the whole rows of both experts, one token at one place at a time.
  const only = (place: number) => (i: number) => Number(i % length === place);
  const rowsOf = async (lora: Parameters) => {
    const all = Array.from({ length: rows * length }, () => new Float64Array(TINY.vocab_size));
    for (let token = 0; token < TINY.vocab_size; token++) {
      for (let place = 0; place < length; place++) {
        const scores = await scoreOf(
          lora,
          tokens(
            ids.map(() => token),
            only(place),
          ),
        );
        scores.forEach((value, row) => {
          all[row * length + place]![token] = value;
        });
      }
    }
    return all;
  };
  const [lpS, lpH] = [await rowsOf(safety), await rowsOf(helpfulness)];
  for (const place of [0, 3]) {
    const { logprobs } = await routedScore('logits', router, tokens(targets, only(place)));
    for (let row = 0; row < rows; row++) {
      const at = row * length + place;
      const mixed = mixExperts(lpS[at]!, lpH[at]!, { weight: shares![at]!, rule: 'geometric' })!;
      expect(logprobs![row]!).toBeCloseTo(mixed[targets[at]!]!, 4);
    }
  }
});

const [beta, lambda] = [0.5, 0.3];
const openTraining = (kind: RouterKind, variant: Variant) =>
  GraphSession.create(buildRouterGraph(TINY, { ...options(kind), variant, beta, lambda }), { threads: 1 });

describe.each([
  ['layers', 'corrected'],
  ['layers', 'faithful'],
  ['logits', 'corrected'],
] as const)('training the %s router, %s', (kind, variant) => {
  const open = () => openTraining(kind, variant);
  const counted = float32(dims, new Float32Array(rows * length).fill(1 / (rows * length)));
  const feeds = {
    ...tokens(),
    reference: float32([rows], Float32Array.from([-9, -11, -10, -12])),
    margin: float32([rows / 2], new Float32Array(rows / 2)),
    regulariser_weights: counted,
  };

  test('has gradients that match finite differences', async () => {
    const session = await open();
    const router = routerOf(kind, 0.3);
    await expectGradients(router, () => session.run({ ...feeds, ...parameterFeeds(router) }));
  });

  test('adds lambda times the distance from the helpfulness expert alone', async () => {
    const session = await open();
    const at = async (router: Parameters) => session.run({ ...feeds, ...parameterFeeds(router) });
    const half = await at(constant(kind, [0, 0]));
    expect(half.regulariser![0]).toBeCloseTo(1, 5);
    expect(half.loss![0]).toBeCloseTo(half.dpo![0]! + lambda * half.regulariser![0]!, 5);
    expect((await at(constant(kind, [-40, 40]))).regulariser![0]).toBeCloseTo(0, 5);
    expect((await at(constant(kind, [40, -40]))).regulariser![0]).toBeCloseTo(2, 5);
  });
});

test.each<Variant>(['corrected', 'faithful'])(
  'the regulariser reads the gates that route (corrected) or, as published, gates of the layer input (faithful): %s',
  async (variant) => {
    const router = routerOf('layers', 0.5);
    const { layers } = toBundle('layers', router, variant).layers!;
    const experts = { safety: frozen(safety), helpfulness: frozen(helpfulness) };
    const bundle = slowBundle(base, { experts, rank, alpha: loraScale * rank });
    // Every position counts, each with a different weight than its neighbours.
    const counted = Float32Array.from({ length: rows * length }, (_, i) => 1 + (i % 7));
    const distanceOf = (activationOf: (at: { layer: number; h: number[]; x: number[] }) => number[]) => {
      let total = 0;
      for (let row = 0; row < rows; row++) {
        slowDecoder(bundle, ids.slice(row * length, (row + 1) * length), ({ layer, position, h, x }) => {
          const gate = layers[layer]!;
          const asked = activationOf({ layer, h, x });
          const distance = Math.abs(gateOf(gate.alpha, asked)) + Math.abs(gateOf(gate.beta, asked) - 1);
          total += (counted[row * length + position]! * distance) / layers.length;
          return { safety: gateOf(gate.alpha, h), helpfulness: gateOf(gate.beta, h) };
        });
      }
      return total;
    };
    const oracle = {
      corrected: distanceOf(({ h }) => h),
      faithful: distanceOf(({ layer, x }) => slowActivation(bundle, { layer, x })),
    };
    const session = await openTraining('layers', variant);
    const { regulariser } = await session.run({
      ...tokens(),
      reference: float32([rows], new Float32Array(rows)),
      margin: float32([rows / 2], new Float32Array(rows / 2)),
      regulariser_weights: float32(dims, counted),
      ...parameterFeeds(router),
    });
    // The tolerance is for float32 against float64, on a sum near 80.
    expect(regulariser![0]).toBeCloseTo(oracle[variant], 3);
    expect(Math.abs(oracle.corrected - oracle.faithful)).toBeGreaterThan(0.1);
  },
);

describe('experts with LoRA on other modules', () => {
  const wide = (name: string, targets: readonly string[]) => {
    const parameters = emptyTensors(loraShapes(TINY, rank, targets));
    for (const [key, { data }] of parameters) fillNormal(data, 0.4, createRandom(`${name}/${key}`));
    return { parameters, expert: frozenExpert(parameters, TINY, targets) };
  };
  const attention = wide('attention', ['self_attn.q_proj', 'mlp.down_proj']);

  test('are refused by the router over layers', () => {
    expect(() => buildRoutedScoreGraph(TINY, { ...options('layers'), safety: attention.expert })).toThrow(
      'a router over layers mixes mlp.down_proj alone: the safety expert has LoRA on q_proj, down_proj; use kind logits',
    );
  });

  test.each<[string, [number, number]]>([
    ['safety', [40, 0]],
    ['helpfulness', [-40, 0]],
  ])('are routed over logits, where the two may differ: %s', async (role, logits) => {
    const mixed = { ...options('logits'), safety: attention.expert };
    const session = await GraphSession.create(buildRoutedScoreGraph(TINY, mixed), { threads: 1 });
    const { logprobs } = await session.run({ ...tokens(), ...parameterFeeds(constant('logits', logits)) });
    const alone = await GraphSession.create(
      buildScoreGraph(TINY, {
        base,
        rank,
        loraScale,
        ...(role === 'safety' && { targets: ['self_attn.q_proj', 'mlp.down_proj'] }),
      }),
      { threads: 1 },
    );
    const own = role === 'safety' ? attention.parameters : helpfulness;
    close(logprobs!, (await alone.run({ ...tokens(), ...parameterFeeds(own) })).logprobs!);
  });
});
