import { describe, expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { anchored, nearestWithin, prefixDebt } from './anchored.ts';
import { SAFE_DECODING, safeDecoding } from './safe-decoding.ts';

const random = createRandom('decoders');
/** log-probabilities of `size` tokens. */
function row(size: number, spread = 3): Float64Array {
  const logits = Array.from({ length: size }, () => spread * (random.next() - 0.5));
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return Float64Array.from(logits, (logit) => logit - total);
}
const kl = (q: ArrayLike<number>, p: ArrayLike<number>) =>
  Array.from(q).reduce((sum, lq, i) => (lq === -Infinity ? sum : sum + Math.exp(lq) * (lq - p[i]!)), 0);
const massOf = (logprobs: Float64Array) => logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);

/** The slow one: every theta from 0 to 1 in small steps, by the definitions. */
function slowNearest(anchor: Float64Array, other: Float64Array, nats: number): number[] {
  let best: number[] = [];
  for (let step = 0; step <= 20_000; step++) {
    const theta = step / 20_000;
    const powers = Array.from(anchor, (lp, i) => Math.exp(lp) ** (1 - theta) * Math.exp(other[i]!) ** theta);
    const total = powers.reduce((sum, power) => sum + power, 0);
    const q = powers.map((power) => Math.log(power / total));
    if (kl(q, anchor) <= nats + 1e-12) best = q;
  }
  return best;
}

describe('Anchored Decoding', () => {
  test.each([0.001, 0.05, 0.3, 1, 50])(
    'finds the distribution that a search in small steps finds, at %f nats',
    (nats) => {
      const [anchor, other] = [row(9), row(9)];
      const found = nearestWithin(anchor, other, nats);
      slowNearest(anchor, other, nats).forEach((lp, i) => {
        expect(found.logprobs[i]).toBeCloseTo(lp, 3);
      });
      expect(found.kl).toBeCloseTo(kl(found.logprobs, anchor), 9);
      expect(found.kl).toBeLessThanOrEqual(nats);
      expect(massOf(found.logprobs)).toBeCloseTo(1, 12);
    },
  );

  test('is the anchor without an allowance, and the other expert with a large one', () => {
    const [anchor, other] = [row(7), row(7)];
    expect([...nearestWithin(anchor, other, 0).logprobs]).toEqual([...anchor].map((lp) => expect.closeTo(lp, 12)));
    expect([...nearestWithin(anchor, other, 1e9).logprobs]).toEqual([...other].map((lp) => expect.closeTo(lp, 12)));
  });

  test('never draws what either expert rules out, and is defined if one masks what the other wants', () => {
    const [anchor, other] = [row(4), row(4)];
    anchor[0] = -Infinity;
    other[1] = -Infinity;
    const { logprobs } = nearestWithin(anchor, other, 0.2);
    expect([logprobs[0], logprobs[1]]).toEqual([-Infinity, -Infinity]);
    expect(massOf(logprobs)).toBeCloseTo(1, 12);
  });

  test('carries what a token leaves over, and spends no more than k a token less the debt', () => {
    const sampling = { temperature: 1, topP: 1 };
    const k = 0.2;
    const ratios = [0.5, -3, 0.3, 0.1, 0.2, 0.4, 0.05];
    expect(prefixDebt(ratios)).toBeCloseTo((0.5 + 0.4 + 0.3 + 0.2 + 0.1) / 5, 12);
    expect(prefixDebt([-1])).toBe(0);
    const decoding = anchored(k).start({ sampling, promptLogRatios: ratios });
    let spent = 0;
    const quiet = row(6);
    for (let t = 0; t < 30; t++) {
      // Every third token the experts agree, and nothing is spent.
      const rows = t % 3 === 0 ? { safety: quiet, helpfulness: quiet } : { safety: row(6), helpfulness: row(6, 6) };
      const found = decoding.next(rows);
      const step = kl(found.logprobs, rows.safety);
      expect(found.spent).toBeCloseTo(spent + step, 6);
      spent += step;
      expect(spent).toBeLessThanOrEqual(Math.max(0, k * (t + 1) - prefixDebt(ratios)) + 1e-6);
      if (k * (t + 1) <= prefixDebt(ratios)) expect(found.weight).toBe(1);
    }
    expect(spent).toBeGreaterThan(0.5 * 30 * k);
  });

  test('measures experts at the temperature of the draw', () => {
    const [safety, helpfulness] = [row(6), row(6)];
    const start = (temperature: number) =>
      anchored(1e9)
        .start({ sampling: { temperature, topP: 1 }, promptLogRatios: [] })
        .next({ safety, helpfulness });
    const cold = start(0.5).logprobs;
    const squares = Array.from(helpfulness, (lp) => Math.exp(lp) ** 2);
    const total = squares.reduce((sum, square) => sum + square, 0);
    squares.forEach((square, i) => {
      expect(Math.exp(cold[i]!)).toBeCloseTo(square / total, 12);
    });
  });
});

describe('SafeDecoding', () => {
  /** The slow one: grows both top lists from the beginning, as the published code does. */
  function slow(safety: Float64Array, original: Float64Array): Map<number, number> {
    const { alpha, common } = SAFE_DECODING;
    const order = (lp: Float64Array) => Array.from(lp.keys()).sort((a, b) => lp[b]! - lp[a]!);
    let both: number[] = [];
    for (let size = common; both.length < common && size <= safety.length; size++) {
      const top = new Set(order(original).slice(0, size));
      both = order(safety)
        .slice(0, size)
        .filter((id) => top.has(id));
    }
    const raw = both.map((id) => {
      const [s, o] = [Math.exp(safety[id]!), Math.exp(original[id]!)];
      return Math.max(o + alpha * (s - o), 1e-8);
    });
    const total = raw.reduce((sum, mass) => sum + mass, 0);
    return new Map(both.map((id, i) => [id, raw[i]! / total]));
  }

  test('steers the first two tokens as the published formulas say, and then leaves the original alone', () => {
    for (let round = 0; round < 20; round++) {
      const decoding = safeDecoding().start({ sampling: { temperature: 0.7, topP: 1 }, promptLogRatios: [] });
      for (let t = 0; t < 4; t++) {
        const [safety, helpfulness] = [row(40, 8), row(40, 8)];
        const { logprobs, weight } = decoding.next({ safety, helpfulness });
        expect(massOf(logprobs)).toBeCloseTo(1, 9);
        if (t < 2) {
          const wanted = slow(safety, helpfulness);
          expect(weight).toBe(1);
          logprobs.forEach((lp, id) => {
            expect(Math.exp(lp)).toBeCloseTo(wanted.get(id) ?? 0, 9);
          });
        } else {
          const hot = Array.from(helpfulness, (lp) => Math.exp(lp / 0.7));
          const total = hot.reduce((sum, mass) => sum + mass, 0);
          expect(weight).toBe(0);
          logprobs.forEach((lp, id) => {
            expect(Math.exp(lp)).toBeCloseTo(hot[id]! / total, 9);
          });
        }
      }
    }
  });

  test('takes what there is if the experts share fewer tokens, and refuses if they share none', () => {
    const [safety, helpfulness] = [row(6), row(6)];
    for (const id of [0, 1, 2]) safety[id] = -Infinity;
    helpfulness[3] = -Infinity;
    const start = () => safeDecoding().start({ sampling: { temperature: 1, topP: 1 }, promptLogRatios: [] });
    const { logprobs } = start().next({ safety, helpfulness });
    expect(Array.from(logprobs, (lp) => lp > -Infinity)).toEqual([false, false, false, false, true, true]);
    for (const id of [4, 5]) helpfulness[id] = -Infinity;
    expect(() => start().next({ safety, helpfulness })).toThrow('no token in common');
  });
});
