import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { gateStep, startGate } from './gate-step.ts';
import type { GatePolicy } from './gate-types.ts';
import { keepTop } from './keep-top.ts';
import { logSoftmax } from './log-softmax.ts';
import { stepDistribution } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import * as oracle from './testing/oracle.ts';
import { numbersAt, paths, tree } from './testing/tree.ts';
import { gateTruncatedStep, inputOnUnion, type TruncatedRows, truncationBound } from './truncated-rows.ts';

const VOCABULARY = 40;
const sampling = { temperature: 1, topP: 1, key: seedKey(5) };

/** The union of each row's k likeliest tokens. */
function truncate(safetyLogits: Float32Array, helpfulLogits: Float32Array, k: number): TruncatedRows {
  const [safety, helpful] = [logSoftmax(safetyLogits)!, logSoftmax(helpfulLogits)!];
  const top = (row: Float64Array) =>
    Array.from(row.keys())
      .sort((a, b) => row[b]! - row[a]!)
      .slice(0, k);
  const ids = Int32Array.from(new Set([...top(safety), ...top(helpful)])).sort();
  const at = (row: Float64Array) => Float64Array.from(ids, (id) => row[id]!);
  return { ids, safetyLogprobs: at(safety), helpfulLogprobs: at(helpful), topK: k };
}

/** p~ and p_s~ of truncated rows, spread over the whole vocabulary. */
function shapedOnUnion(
  rows: TruncatedRows,
  { weight, rule, temperature }: { weight: number; rule: GatePolicy['rule']; temperature: number },
) {
  const { mixture, q } = stepDistribution(
    inputOnUnion({
      rows,
      proposal: weight,
      policy: { ...OPEN_POLICY, rule },
      sampling: { ...sampling, temperature },
      state: startGate(),
    }),
  );
  const spread = (row: Float64Array) => {
    const whole = new Array<number>(VOCABULARY).fill(0);
    rows.ids.forEach((id, i) => {
      whole[id] = Math.exp(row[i]!);
    });
    return whole;
  };
  return { p: spread(mixture), ps: spread(q.reference) };
}

const bounded = fc.record({
  safetyLogits: arbitrary.logitsOf(VOCABULARY),
  helpfulLogits: arbitrary.logitsOf(VOCABULARY),
  weight: arbitrary.share,
  rule: arbitrary.rule,
  temperature: fc.constantFrom(0.05, 0.3, 0.7, 1, 1.5, 3),
  k: fc.integer({ min: 1, max: VOCABULARY }),
});

test('the mixture stays as close to that of whole rows, in total variation, as the bound says', () => {
  fc.assert(
    fc.property(bounded, ({ safetyLogits, helpfulLogits, k, ...mixing }) => {
      const rows = truncate(safetyLogits, helpfulLogits, k);
      const [ps, ph] = [oracle.softmax(safetyLogits), oracle.softmax(helpfulLogits)];
      const whole = oracle.shape(oracle.mix(ps, ph, mixing.weight, mixing.rule), { ...mixing, topP: 1 });
      fc.pre(!whole.some(Number.isNaN));
      const bound = truncationBound(rows, { ...mixing, vocabulary: VOCABULARY }).totalVariation;
      expect(oracle.totalVariation(shapedOnUnion(rows, mixing).p, whole)).toBeLessThanOrEqual(bound + 1e-9);
      expect(bound).toBeLessThanOrEqual(1);
    }),
    { numRuns: 400 },
  );
});

test('on the union, the safety expert grows by no more nats than the bound says', () => {
  fc.assert(
    fc.property(bounded, ({ safetyLogits, helpfulLogits, k, ...mixing }) => {
      const rows = truncate(safetyLogits, helpfulLogits, k);
      const whole = oracle.shape(oracle.softmax(safetyLogits), { ...mixing, topP: 1 });
      const { nats } = truncationBound(rows, { ...mixing, vocabulary: VOCABULARY });
      for (const [i, p] of shapedOnUnion(rows, mixing).ps.entries()) {
        expect(p).toBeLessThanOrEqual(Math.exp(nats) * whole[i]! + 1e-9);
      }
    }),
    { numRuns: 200 },
  );
});

test('q(H) <= e^K * p_s~(H), with p_s~ the whole safety expert under top-k, however rows are truncated', () => {
  const size = 6;
  let tightest = 0;
  fc.assert(
    fc.property(
      fc.nat(),
      fc.tuple(arbitrary.rule, fc.double({ min: 0, max: 3, noNaN: true })),
      arbitrary.sampling,
      fc.integer({ min: 1, max: 3 }),
      (seed, [rule, budget], shape, k) => {
        const experts = tree(seed, { size });
        const answers = paths(
          (answer, state) => {
            const { safetyLogits, helpfulLogits, proposal } = experts(answer);
            // Besides the k tokens that it must send, the other expert sends whatever it likes,
            // different tokens at every step.
            const u = numbersAt(seed, [...answer, -1]);
            const wanted = helpfulLogits.map((x, i) => (u(i) < 0.3 ? 1e3 : x));
            const { ids, ...rows } = truncate(safetyLogits, wanted, k);
            const helpful = logSoftmax(helpfulLogits)!;
            const helpfulLogprobs = u(size) < 0.1 ? null : Float64Array.from(ids, (id) => helpful[id]!);
            const gated = stepDistribution(
              inputOnUnion({
                rows: { ...rows, ids, helpfulLogprobs },
                policy: { ...OPEN_POLICY, rule, budget },
                proposal,
                sampling: { ...shape, bias: new Map([[Math.floor(size * u(size + 1)), -Infinity]]) },
                state,
              }),
            );
            const whole = oracle.shape(oracle.top(oracle.softmax(safetyLogits), k), shape);
            return { ...gated, ps: Array.from(ids, (id) => whole[id]!) };
          },
          { length: 3 },
        );
        const most = Math.exp(budget);
        for (const { q, ps } of answers) tightest = Math.max(tightest, budget > 0.5 ? q / ps / most : 0);
        const worst = answers.reduce((sum, { q, ps }) => sum + Math.max(0, q - most * ps), 0);
        expect(worst).toBeLessThanOrEqual(1e-12);
      },
    ),
    {
      numRuns: 200,
      // This example spends all of its budget. Random examples may happen not to.
      examples: [[23, ['arithmetic', 3], { temperature: 0.3, topP: 1, key: [15, 4292870144, 0, 0] }, 2]],
    },
  );
  expect(tightest).toBeGreaterThan(1 - 1e-9);
});

test('a token that only the other expert put into the union is drawn only without a budget', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(3, 5),
    safetyLogprobs: Float64Array.of(0.5, 0.01).map(Math.log),
    helpfulLogprobs: Float64Array.of(0.01, 0.9).map(Math.log),
    topK: 1,
  };
  const tokens = (budget: number | null) =>
    new Set(
      Array.from({ length: 40 }, (_, seed) => {
        const policy = { ...OPEN_POLICY, budget };
        const asked = { ...sampling, key: seedKey(seed), temperature: seed % 2 };
        return gateTruncatedStep({ rows, proposal: 0, policy, sampling: asked, state: startGate() }).token;
      }),
    );
  expect(tokens(1e6)).toEqual(new Set([3]));
  expect(tokens(null)).toContain(5);
});

test('among equally likely tokens, the lowest ids count as the k likeliest', () => {
  expect(keepTop(Float64Array.of(-2, -1, -1, -1, -3), 2)).toEqual(
    Float64Array.of(-Infinity, -Math.LN2, -Math.LN2, -Infinity, -Infinity),
  );
});

test('a mask names tokens of the whole vocabulary, and masking all k likeliest leaves nothing to draw', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(3, 5, 9),
    safetyLogprobs: Float64Array.of(0.5, 0.3, 0.1).map(Math.log),
    helpfulLogprobs: Float64Array.of(0.5, 0.3, 0.1).map(Math.log),
    topK: 2,
  };
  const step = (mask: ReadonlySet<number>, seed: number) =>
    gateTruncatedStep({
      rows,
      proposal: 0.5,
      policy: { ...OPEN_POLICY, budget: 3 },
      sampling: { ...sampling, key: seedKey(seed), mask },
      state: startGate(),
    }).token;
  for (let seed = 0; seed < 10; seed++) expect(step(new Set([3, 0, 1]), seed)).toBe(5);
  expect(() => step(new Set([3, 5]), 0)).toThrow(expect.objectContaining({ code: 'safety_row_unusable' }));
});

test.each([0, -1, 1.5, NaN, Infinity, 3, '1', null])(
  'rows of two tokens and most of the mass cannot hold the top %s',
  (topK) => {
    const row = Float64Array.of(0.5, 0.3).map(Math.log);
    const rows = { ids: Int32Array.of(1, 2), safetyLogprobs: row, helpfulLogprobs: row, topK } as TruncatedRows;
    const step = () => gateTruncatedStep({ rows, proposal: 0, policy: OPEN_POLICY, sampling, state: startGate() });
    expect(step).toThrow(expect.objectContaining({ code: 'truncated_rows_invalid' }));
  },
);

test('fewer tokens than k are enough if there are no more', () => {
  const row = Float64Array.of(0.75, 0.25).map(Math.log);
  const rows = { ids: Int32Array.of(1, 2), safetyLogprobs: row, helpfulLogprobs: row, topK: 40 };
  const { token } = gateTruncatedStep({ rows, proposal: 0, policy: OPEN_POLICY, sampling, state: startGate() });
  expect([1, 2]).toContain(token);
});

test('at temperature 1 the bound is the mass that was cut off, and is met', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(2, 7),
    safetyLogprobs: Float64Array.of(0.5, 0.3).map(Math.log),
    helpfulLogprobs: Float64Array.of(0.6, 0.2).map(Math.log),
    topK: 2,
  };
  const bound = truncationBound(rows, { weight: 0.25, rule: 'arithmetic', temperature: 1, vocabulary: 10 });
  expect(bound.totalVariation).toBeCloseTo(0.2, 12);
  expect(bound.nats).toBeCloseTo(-Math.log(0.8), 12);
});

test('rows that were not truncated have no error and give the same answer as whole rows', () => {
  fc.assert(
    fc.property(
      arbitrary.rows(),
      arbitrary.policy,
      arbitrary.sampling,
      arbitrary.share,
      (pair, policy, sampled, proposal) => {
        const rows = truncate(pair.safetyLogits, pair.helpfulLogits, pair.safetyLogits.length);
        const whole = { weight: proposal, rule: policy.rule, temperature: 1, vocabulary: rows.ids.length };
        expect(truncationBound(rows, whole)).toEqual({ totalVariation: 0, nats: 0 });
        const common = { proposal, policy, sampling: sampled, state: startGate() };
        const [truncated, full] = [gateTruncatedStep({ rows, ...common }), gateStep({ ...pair, ...common })];
        expect(truncated.token).toBe(full.token);
        expect(truncated.weight).toBe(full.weight);
        expect(truncated.logprob).toBeCloseTo(full.logprob, 9);
      },
    ),
  );
});

test('whole rows without a token in common close the gate and have no error', () => {
  const rows = truncate(Float32Array.of(-Infinity, 0), Float32Array.of(0, -Infinity), 2);
  const whole = { weight: 0.5, rule: 'geometric' as const, temperature: 1, vocabulary: 2 };
  expect(truncationBound(rows, whole)).toEqual({ totalVariation: 0, nats: 0 });
});

test('token ids, biases and reported log-probabilities are those of the whole vocabulary', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(100, 900),
    safetyLogprobs: Float64Array.of(0.4, 0.2).map(Math.log),
    helpfulLogprobs: Float64Array.of(0.4, 0.3).map(Math.log),
    topK: 2,
  };
  const bias = new Map([
    [100, -Infinity],
    [500, 3],
  ]);
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const asked = { ...sampling, key: seedKey(seed), bias };
    const step = gateTruncatedStep({ rows, proposal: 0.5, policy: OPEN_POLICY, sampling: asked, state: startGate() });
    expect(step.token).toBe(900);
    expect(step.logprobSafety).toBeCloseTo(Math.log(0.2), 12);
    expect(step.logprobHelpful).toBeCloseTo(Math.log(0.3), 12);
  }
});

test('a failed helpfulness expert closes the gate; rows that do not match throw', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(1, 4),
    safetyLogprobs: Float64Array.of(-1, -1),
    helpfulLogprobs: null,
    topK: 1,
  };
  const common = { proposal: 0, policy: OPEN_POLICY, sampling, state: startGate() };
  expect(gateTruncatedStep({ rows, ...common }).weight).toBe(1);
  for (const broken of [
    { ...rows, ids: Int32Array.of(4, 1) },
    { ...rows, ids: Int32Array.of(4, 4) },
    { ...rows, ids: Int32Array.of(1) },
    { ...rows, helpfulLogprobs: Float64Array.of(-1) },
  ]) {
    const step = () => gateTruncatedStep({ rows: broken, ...common });
    expect(step).toThrow(expect.objectContaining({ code: 'truncated_rows_invalid' }));
  }
});

test('if the geometric mixture is masked on the whole union, only the safety expert is left, and the bound is 1', () => {
  const rows: TruncatedRows = {
    ids: Int32Array.of(0, 1),
    safetyLogprobs: Float64Array.of(Math.log(0.9), -Infinity),
    helpfulLogprobs: Float64Array.of(-Infinity, Math.log(0.9)),
    topK: 1,
  };
  const bound = truncationBound(rows, { weight: 0.5, rule: 'geometric', temperature: 1, vocabulary: 3 });
  expect(bound.totalVariation).toBe(1);
  const step = gateTruncatedStep({ rows, proposal: 0.5, policy: OPEN_POLICY, sampling, state: startGate() });
  expect(step).toMatchObject({ token: 0, weight: 1 });
});
