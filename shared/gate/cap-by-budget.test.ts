import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addSpending, natsLeft, SPENT_UNBOUNDED } from './add-spending.ts';
import { capByBudget } from './cap-by-budget.ts';
import { seedKey } from './draw-key.ts';
import { startGate } from './gate-step.ts';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { GATE_VERSIONS, type Logits } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import * as oracle from './testing/oracle.ts';

const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b, 0);
const nats = fc.double({ min: 0, max: 6, noNaN: true });

type Case = { safety: number[]; helpful: number[]; temperature?: number; nats: number; q: number[] };
const CASES: Case[] = [
  // lambda is beyond every double
  { safety: [0.05, 0], helpful: [0, 14.5], temperature: 0.02, nats: 2, q: [0.4395, 0.5605] },
  // p~ of the second token is below every double, but still support
  { safety: [0, 0], helpful: [0, -720], nats: Math.log(1.2), q: [0.6, 0.4] },
  { safety: [0, 0], helpful: [0, -760], nats: Math.log(1.2), q: [0.6, 0.4] },
  { safety: [0, 0], helpful: [0, -1e4], temperature: 0.02, nats: Math.log(1.2), q: [0.6, 0.4] },
  { safety: [0, 0, 0], helpful: [-1000, -2000, 0], nats: Math.log(1.2), q: [0.4, 0.2, 0.4] },
  { safety: [0, 0, 0], helpful: [-1e30, -2e30, 0], nats: Math.log(1.2), q: [0.4, 0.2, 0.4] },
  // two tokens far down share what the first leaves in their own proportions, here 1 : 2
  { safety: [0, 0, 0], helpful: [0, -760, -760 + Math.LN2], nats: Math.log(1.2), q: [0.4, 0.2, 0.4] },
  // and here 1 : e, from logits that only the temperature tells apart
  {
    safety: [0, 0, 0],
    helpful: [0, -1e4, -1e4 + 2 ** -10],
    temperature: 2 ** -10,
    nats: Math.log(1.8),
    q: [0.6, 0.4 / (1 + Math.E), (0.4 * Math.E) / (1 + Math.E)],
  },
  // a cap below every double, on the token that has all of the mixture
  { safety: [0, -1e4], helpful: [-1e4, 0], nats: 5, q: [1, 0] },
  // masked tokens are not support: the rest comes from the safety expert, in its own proportions
  { safety: [0, 0, 0], helpful: [0, -Infinity, -Infinity], nats: Math.log(1.2), q: [0.4, 0.3, 0.3] },
  { safety: [0, 0, 0], helpful: [0, -2000, -Infinity], nats: Math.log(1.2), q: [0.4, 0.4, 0.2] },
];

describe.each(GATE_VERSIONS)('the cap of the $name gate', ({ gateRows }) => {
  /** The cap on the helpfulness expert alone. */
  function cap(
    { safetyLogits, helpfulLogits }: Logits,
    { temperature = 1, nats }: { temperature?: number | undefined; nats: number },
  ) {
    const { q, mixture } = gateRows(
      { safetyLogits, helpfulLogits },
      {
        policy: { ...OPEN_POLICY, budget: nats },
        proposal: 0,
        sampling: { temperature, topP: 1, key: seedKey(0) },
        state: startGate(),
      },
    );
    return { ...q, mixture };
  }
  const along = (size: number, logit: (i: number) => number) => Float32Array.from({ length: size }, (_, i) => logit(i));

  test('caps as the oracle does', () => {
    fc.assert(
      fc.property(arbitrary.rows(), nats, (rows, nats) => {
        const q = cap(rows, { nats }).logprobs.map(Math.exp);
        oracle.cap(oracle.softmax(rows.helpfulLogits), oracle.softmax(rows.safetyLogits), nats).forEach((p, i) => {
          expect(q[i]).toBeCloseTo(p, 9);
        });
      }),
      { numRuns: 500 },
    );
  });

  test.each(CASES)('safety $safety, helpful $helpful, $nats nats: $q', ({ safety, helpful, temperature, nats, q }) => {
    const rows = { safetyLogits: Float32Array.from(safety), helpfulLogits: Float32Array.from(helpful) };
    const { logprobs } = cap(rows, { temperature, nats });
    for (const [i, p] of q.entries()) expect(Math.exp(logprobs[i]!)).toBeCloseTo(p, 4);
  });

  test('a token that the mixture all but excludes can still earn nats back', () => {
    const rows = { safetyLogits: Float32Array.of(0, 0), helpfulLogits: Float32Array.of(0, -720) };
    const { logprobs, reference } = cap(rows, { nats: Math.log(1.2) });
    expect(logprobs[1]! - reference[1]!).toBeCloseTo(Math.log(0.4 / 0.5), 12);
  });

  test('caps as the oracle does in logarithms, whatever the magnitudes', () => {
    fc.assert(
      fc.property(arbitrary.extremeRows, arbitrary.extremeTemperature, arbitrary.extremeNats, (rows, t, nats) => {
        // At lower temperatures, the oracle's log lambda has too few digits. The next test covers
        // those.
        const { logprobs, mixture, reference } = cap(rows, { temperature: Math.max(t, 0.02), nats });
        const expected = oracle.capInLogs([...mixture], [...reference], nats);
        for (const [i, lp] of expected.entries()) expect(Math.exp(logprobs[i]!)).toBeCloseTo(Math.exp(lp), 7);
      }),
      { numRuns: 2000 },
    );
  });

  test('sums to 1 under the cap and keeps proportions below it, whatever the magnitudes', () => {
    fc.assert(
      fc.property(
        arbitrary.extremeRows,
        arbitrary.extremeTemperature,
        arbitrary.extremeNats,
        (rows, temperature, nats) => {
          const { logprobs, mixture, reference } = cap(rows, { temperature, nats });
          expect(sum(logprobs.map(Math.exp))).toBeCloseTo(1, 12);
          const most = reference.map((lp) => Math.min(0, lp + nats));
          const free = Array.from(logprobs).flatMap((lp, i) => {
            if (mixture[i]! === -Infinity || lp === -Infinity) return [];
            expect(lp).toBeLessThanOrEqual(most[i]! + 1e-15);
            // Compare only tokens with a noticeable probability: the logs of the others have no
            // digits left to compare.
            return lp < most[i]! && lp > -30 ? [i] : [];
          });
          const first = free[0] ?? 0;
          for (const i of free) expect(logprobs[i]! - logprobs[first]!).toBeCloseTo(mixture[i]! - mixture[first]!, 9);
          // lambda is at least 1, so a token below its cap has at least what the mixture gives it.
          for (const i of free) expect(logprobs[i]!).toBeGreaterThanOrEqual(mixture[i]! - 1e-9);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('solves fifty thousand tokens, each e^800 times less likely than the one before, in few passes', () => {
    const size = 50_000;
    // Every token reaches its cap long before the next one has any noticeable mass. One pass per
    // token would be two and a half billion steps.
    const rows = { safetyLogits: new Float32Array(size), helpfulLogits: along(size, (i) => -800 * i) };
    const { logprobs } = cap(rows, { nats: 1 });
    expect(sum(logprobs.map(Math.exp))).toBeCloseTo(1, 9);
    expect(logprobs.filter((lp) => Math.exp(lp) > 0)).toHaveLength(Math.ceil(size / Math.E));
  });

  test('sums to 1 and stays under the cap, for rows hundreds of nats apart', () => {
    const logits = fc.array(fc.double({ min: -600, max: 600, noNaN: true }), { minLength: 40, maxLength: 40 });
    const wide = logits.map((row) => Float32Array.from(row));
    fc.assert(
      fc.property(
        wide,
        wide,
        fc.oneof(nats, fc.constantFrom(1e-15, 300, 1e300)),
        (safetyLogits, helpfulLogits, nats) => {
          const { logprobs, reference } = cap({ safetyLogits, helpfulLogits }, { nats });
          // A log-probability of -1000 has its last digit at 1e-13.
          expect(sum(logprobs.map(Math.exp))).toBeCloseTo(1, 11);
          for (const [i, lp] of logprobs.entries()) expect(lp).toBeLessThanOrEqual(nats + reference[i]!);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('is exact for thousands of tokens that reach their caps one after another', () => {
    // Along the row, masses fall faster than caps, so each pass frees room for only the next few
    // tokens.
    const rows = { safetyLogits: along(4096, (i) => -i / 110), helpfulLogits: along(4096, (i) => -i / 100) };
    for (const nats of [1e-9, 0.01, 0.05, 0.09]) {
      expect(sum(cap(rows, { nats }).logprobs.map(Math.exp))).toBeCloseTo(1, 12);
    }
  });
});

test('no distribution under the cap is nearer to the mixture', () => {
  fc.assert(
    fc.property(arbitrary.rows({ masks: false }), nats, fc.infiniteStream(nats), (pair, left, others) => {
      const [mixture, reference] = [logSoftmax(pair.helpfulLogits)!, logSoftmax(pair.safetyLogits)!];
      const q = [...capByBudget(mixture, { reference, natsLeft: left }).logprobs.map(Math.exp)];
      // Any other mixture, capped in the same way, is a distribution that the cap allows.
      const other = logSoftmax(mixture.map(() => others.next().value))!;
      const allowed = [...capByBudget(other, { reference, natsLeft: left }).logprobs.map(Math.exp)];
      const p = [...mixture.map(Math.exp)];
      expect(oracle.kl(q, p)).toBeLessThanOrEqual(oracle.kl(allowed, p) + 1e-9);
    }),
  );
});

test('returns a mixture unchanged if it fits under the cap or there is no cap', () => {
  const [mixture, reference] = [logSoftmax(Float32Array.of(1, 0))!, logSoftmax(Float32Array.of(0, 1))!];
  expect(capByBudget(mixture, { reference, natsLeft: 2 }).logprobs).toBe(mixture);
  expect(capByBudget(mixture, { reference, natsLeft: null }).logprobs).toBe(mixture);
});

test('returns the safety expert unchanged if no nats are left, or fewer than none', () => {
  const [mixture, reference] = [logSoftmax(Float32Array.of(1, 0))!, logSoftmax(Float32Array.of(0, 1))!];
  expect(capByBudget(mixture, { reference, natsLeft: 0 }).logprobs).toBe(reference);
  expect(capByBudget(mixture, { reference, natsLeft: -3 }).logprobs).toBe(reference);
});

test('takes the rest from the safety expert when the mixture cannot be filled to 1', () => {
  // p_s~ = (1, 2, 3, 4) / 10, p~ is all on the first token, and the cap is twice p_s~: 0.2 there,
  // with 0.8 shared out as 2 : 3 : 4.
  const reference = Float64Array.of(0.1, 0.2, 0.3, 0.4).map(Math.log);
  const mixture = Float64Array.of(0, -Infinity, -Infinity, -Infinity);
  const q = capByBudget(mixture, { reference, natsLeft: Math.LN2 }).logprobs.map(Math.exp);
  const expected = [0.2, 0.8 * (2 / 9), 0.8 * (3 / 9), 0.8 * (4 / 9)];
  for (const [i, p] of expected.entries()) expect(q[i]).toBeCloseTo(p, 12);
});

test('spending never exceeds the budget, however it rounds', () => {
  fc.assert(
    fc.property(
      arbitrary.finiteBudget,
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 20 }),
      (budget, costs) => {
        let spent = 0;
        for (const spends of costs) spent = addSpending(spent, { spends, bound: budget });
        expect(spent).toBeLessThanOrEqual(budget);
        expect(spent).toBeGreaterThanOrEqual(-SPENT_UNBOUNDED);
      },
    ),
  );
});

test('infinite spending is a number that survives JSON, is never paid back and overdraws every budget', () => {
  const spent = addSpending(1, { spends: Infinity, bound: null });
  expect(JSON.parse(JSON.stringify(spent))).toBe(spent);
  expect(addSpending(spent, { spends: -50, bound: null })).toBe(spent);
  expect(addSpending(spent, { spends: Infinity, bound: null })).toBe(spent);
  expect(natsLeft(1e12, { spent })).toBeLessThan(0);
});

test('an account that is overdrawn under a tighter line stays overdrawn', () => {
  expect(addSpending(7, { spends: 0, bound: 2 })).toBe(7);
});
