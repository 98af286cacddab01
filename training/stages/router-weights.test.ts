/**
 * Tests that we serve what we trained: the slow decoder, with a router in a bundle's layout, must
 * give the same log-probabilities as the training graph.
 */
import { expect, test } from 'vitest';
import { float32, GraphSession, int64 } from '#gpu-backend/graph/session.ts';
import { proposeWeight } from '#gpu-backend/model/propose-weight.ts';
import { type GatesAt, gateOf, slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { mixExperts } from '#shared/gate/index.ts';
import { createRandom } from '../data/random.ts';
import { frozenExpert, loraShapes } from '../graphs/lora.ts';
import { buildRoutedScoreGraph, type RouterKind, routerShapes } from '../graphs/router-graph.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { slowBundle } from '../testing/slow-bundle.ts';
import { TINY, tinyWeights } from '../testing/tiny-model.ts';
import { emptyTensors } from './base-model.ts';
import { toBundle } from './router-weights.ts';
import { fillNormal } from './sft.ts';

const [rank, alpha, width] = [2, 4, 3];
const base = tinyWeights();
const ids = [1, 5, 9, 4, 7, 3];
const n = ids.length - 1;

const drawn = (shapes: Map<string, number[]>, name: string) => {
  const parameters = emptyTensors(shapes);
  for (const [key, { data }] of parameters) fillNormal(data, 0.4, createRandom(`${name}/${key}`));
  return parameters;
};
const expertOf = (role: 'safety' | 'helpfulness') => {
  return frozenExpert(drawn(loraShapes(TINY, rank), role), TINY);
};
const experts = { safety: expertOf('safety'), helpfulness: expertOf('helpfulness') };
const bundle = slowBundle(base, { experts, rank, alpha });

async function trained(kind: RouterKind) {
  const router = drawn(routerShapes(TINY, { kind, width }), 'router');
  const options = {
    base,
    ...experts,
    rank,
    loraScale: alpha / rank,
    kind,
    width,
  };
  const session = await GraphSession.create(buildRoutedScoreGraph(TINY, options), { threads: 1 });
  const at = async (place: number) => {
    const only = Float32Array.from({ length: n }, (_, i) => Number(i === place));
    const feeds = {
      ids: int64([1, n], ids.slice(0, n)),
      targets: int64([1, n], ids.slice(1)),
      loss_weights: float32([1, n], only),
    };
    const { logprobs, safety: shares } = await session.run({ ...feeds, ...parameterFeeds(router) });
    return { logprob: logprobs![0]!, share: shares![place]! };
  };
  return { at, router: toBundle(kind, router, 'corrected') };
}
const logSoftmax = (logits: readonly number[]) => {
  const most = Math.max(...logits);
  const logZ = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return Float64Array.from(logits, (x) => x - logZ);
};

test('the layers router gives the same log-probabilities in training and in the slow decoder', async () => {
  const { at, router } = await trained('layers');
  const gatesAt: GatesAt = ({ layer, h }) => {
    const { alpha: a, beta: b } = router.layers!.layers[layer]!;
    return { safety: gateOf(a, h), helpfulness: gateOf(b, h) };
  };
  for (const place of [0, 2, n - 1]) {
    const { logits, gates } = slowDecoder(bundle, ids.slice(0, place + 1), gatesAt);
    const { logprob, share } = await at(place);
    expect(logprob).toBeCloseTo(logSoftmax(logits)[ids[place + 1]!]!, 4);
    expect(share).toBeCloseTo(gates.reduce((sum, gate) => sum + gate.safety, 0) / gates.length, 5);
  }
});

test('the logits router gives the same log-probabilities in training and in the slow decoder', async () => {
  const { at, router } = await trained('logits');
  const alone = (role: 'safety' | 'helpfulness', place: number) =>
    slowDecoder(bundle, ids.slice(0, place + 1), () => ({
      safety: Number(role === 'safety'),
      helpfulness: Number(role === 'helpfulness'),
    }));
  for (const place of [0, 2, n - 1]) {
    const [s, h] = [alone('safety', place), alone('helpfulness', place)];
    const weight = proposeWeight(router.logits!, Float32Array.from(s.hidden), Float32Array.from(h.hidden));
    const mixed = mixExperts(logSoftmax(s.logits), logSoftmax(h.logits), { weight, rule: 'geometric' })!;
    const { logprob, share } = await at(place);
    expect(share).toBeCloseTo(weight, 5);
    expect(logprob).toBeCloseTo(mixed[ids[place + 1]!]!, 4);
  }
});
