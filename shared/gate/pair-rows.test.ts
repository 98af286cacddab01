/** The gate's laws on rows of which each expert has told only its own likeliest tokens. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { gateStep, startGate } from './gate-step.ts';
import { keepTop } from './keep-top.ts';
import { logSoftmax } from './log-softmax.ts';
import { type OwnRow, pairRows } from './pair-rows.ts';
import { stepDistribution } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import { paths, tree } from './testing/tree.ts';
import { gateTruncatedStep, inputOnUnion, type TruncatedRows } from './truncated-rows.ts';

const SIZE = 12;
const sampling = { temperature: 1, topP: 1, key: seedKey(5) };

/** What an expert says of its own: its k likeliest tokens, and what it leaves out. */
function own(logits: Float32Array, k: number): OwnRow {
  const row = logSoftmax(logits)!;
  const ids = Int32Array.from(
    Array.from(row.keys())
      .sort((a, b) => row[b]! - row[a]! || a - b)
      .slice(0, k),
  ).sort();
  const logprobs = Float64Array.from(ids, (id) => row[id]!);
  const kept = new Set(ids);
  return { ids, logprobs, left: row.reduce((sum, lp, id) => sum + (kept.has(id) ? 0 : Math.exp(lp)), 0) };
}

/** The mixture and the reference that the gate makes of them, as masses over the vocabulary. */
function mixed(rows: TruncatedRows, { weight, rule }: { weight: number; rule: 'geometric' | 'arithmetic' }) {
  const policy = { ...OPEN_POLICY, rule };
  const { mixture, q } = stepDistribution(
    inputOnUnion({ rows, proposal: weight, policy, sampling, state: startGate() }),
  );
  const spread = (row: Float64Array) => {
    const whole = new Float64Array(SIZE).fill(0);
    rows.ids.forEach((id, i) => {
      whole[id] = Math.exp(row[i]!);
    });
    return whole;
  };
  return { p: spread(mixture), ps: spread(q.reference) };
}

const divergence = (p: ArrayLike<number>, q: ArrayLike<number>) =>
  Array.from(p).reduce((sum, x, i) => sum + (x > 0 ? x * Math.log(x / q[i]!) : 0), 0);

const given = fc.record({
  safetyLogits: arbitrary.logitsOf(SIZE),
  helpfulLogits: arbitrary.logitsOf(SIZE),
  weight: arbitrary.insideShare,
  k: fc.integer({ min: 1, max: SIZE }),
});

describe('the floor, whatever the mass is that nobody told', () => {
  test('geometric: KL(p||p_s) <= (1-w)/w * KL(p_s||p_h), for the row that the helpfulness expert really has', () => {
    fc.assert(
      fc.property(given, ({ safetyLogits, helpfulLogits, weight, k }) => {
        const rows = pairRows(own(safetyLogits, k), own(helpfulLogits, k), { topK: k });
        const { p, ps } = mixed(rows, { weight, rule: 'geometric' });
        const truth = logSoftmax(helpfulLogits)!.map(Math.exp);
        const most = ((1 - weight) / weight) * divergence(ps, truth);
        expect(divergence(p, ps)).toBeLessThanOrEqual(most * (1 + 1e-9) + 1e-9);
      }),
      { numRuns: 1000 },
    );
  });

  test('arithmetic: KL(p_s||p) <= -log w', () => {
    fc.assert(
      fc.property(given, ({ safetyLogits, helpfulLogits, weight, k }) => {
        const rows = pairRows(own(safetyLogits, k), own(helpfulLogits, k), { topK: k });
        const { p, ps } = mixed(rows, { weight, rule: 'arithmetic' });
        expect(divergence(ps, p)).toBeLessThanOrEqual(-Math.log(weight) + 1e-9);
      }),
      { numRuns: 400 },
    );
  });
});

test('a word of the safety expert stays possible though it is not among the other one’s likeliest', () => {
  // The words: refuse, agree, other. 0 for the unknown word would rule out the refusal.
  const safety = { ids: Int32Array.of(0), logprobs: Float64Array.of(Math.log(0.98)), left: 0.02 };
  const helpful = { ids: Int32Array.of(1), logprobs: Float64Array.of(Math.log(0.98)), left: 0.02 };
  const rows = pairRows(safety, helpful, { topK: 1 });
  expect(mixed(rows, { weight: 0.9, rule: 'geometric' }).p[0]).toBe(1);
});

test('the budget holds on every path, against the safety expert under its own top-k', () => {
  const policies = fc.record({
    seed: fc.nat(),
    k: fc.integer({ min: 1, max: 4 }),
    budget: arbitrary.finiteBudget,
    rule: arbitrary.rule,
  });
  fc.assert(
    fc.property(policies, ({ seed, k, budget, rule }) => {
      const expertsAfter = tree(seed);
      const all = paths(
        (answer, state) => {
          const { safetyLogits, helpfulLogits, proposal } = expertsAfter(answer);
          const rows = pairRows(own(safetyLogits, k), own(helpfulLogits, k), { topK: k });
          const step = stepDistribution(
            inputOnUnion({ rows, proposal, policy: { ...OPEN_POLICY, budget, rule }, sampling, state }),
          );
          const size = safetyLogits.length;
          const spread = (row: Float64Array) => {
            const whole = new Float64Array(size).fill(-Infinity);
            rows.ids.forEach((id, i) => {
              whole[id] = row[i]!;
            });
            return whole;
          };
          const alone = keepTop(logSoftmax(safetyLogits)!, k)!;
          const q = { ...step.q, logprobs: spread(step.q.logprobs), reference: spread(step.q.reference) };
          return { ...step, q, ps: Array.from(alone, Math.exp) };
        },
        { length: 3, prefixes: true },
      );
      for (const { q, ps, spent } of all) {
        expect(q).toBeLessThanOrEqual(Math.exp(budget) * ps * (1 + 1e-9));
        expect(spent).toBeLessThanOrEqual(budget);
      }
    }),
    { numRuns: 150 },
  );
});

test('weight 1 is the safety expert under its own top-k, and so is a gate that has lost the other one', () => {
  fc.assert(
    fc.property(given, ({ safetyLogits, helpfulLogits, k }) => {
      const alone = keepTop(logSoftmax(safetyLogits)!, k)!;
      const both = pairRows(own(safetyLogits, k), own(helpfulLogits, k), { topK: k });
      const lost = pairRows(own(safetyLogits, k), null, { topK: k });
      for (const rows of [both, lost]) {
        const { p } = mixed(rows, { weight: rows === both ? 1 : 0.2, rule: 'geometric' });
        for (const [id, lp] of alone.entries()) expect(p[id]).toBeCloseTo(Math.exp(lp), 12);
      }
    }),
    { numRuns: 200 },
  );
});

test('with all tokens in the rows, it draws what whole rows draw', () => {
  fc.assert(
    fc.property(given, fc.nat(), ({ safetyLogits, helpfulLogits, weight }, seed) => {
      const rows = pairRows(own(safetyLogits, SIZE), own(helpfulLogits, SIZE), { topK: SIZE });
      const rest = {
        proposal: weight,
        policy: { ...OPEN_POLICY, budget: 1 },
        sampling: { ...sampling, key: seedKey(seed) },
        state: startGate(),
      };
      const whole = gateStep({ safetyLogits, helpfulLogits, ...rest });
      const step = gateTruncatedStep({ rows, ...rest });
      expect(step.token).toBe(whole.token);
      expect(step.spent).toBeCloseTo(whole.spent, 9);
    }),
    { numRuns: 300 },
  );
});

describe('a row that makes no sense', () => {
  const sound = own(Float32Array.of(1, 2, 3), 2);
  const broken: [string, OwnRow][] = [
    ['holds a NaN', { ...sound, logprobs: Float64Array.of(NaN, -1) }],
    ['leaves out a NaN', { ...sound, left: NaN }],
    ['leaves out less than nothing', { ...sound, left: -0.1 }],
    ['holds more than 1', { ...sound, logprobs: Float64Array.of(0, 0) }],
    ['hides mass that it does not tell of', { ...sound, left: 0 }],
    ['has its ids in another order', { ...sound, ids: Int32Array.of(2, 1) }],
    ['has an id twice', { ...sound, ids: Int32Array.of(2, 2) }],
    ['has too few ids', { ...sound, ids: sound.ids.slice(1), logprobs: sound.logprobs.slice(1) }],
    ['has too many', own(Float32Array.of(1, 2, 3), 3)],
    ['is empty', { ids: new Int32Array(), logprobs: new Float64Array(), left: 1 }],
  ];

  test.each(broken)('of the safety expert is an error: it %s', (_, row) => {
    expect(() => pairRows(row, sound, { topK: 2 })).toThrow('is no distribution');
  });

  test.each(broken)('of the helpfulness expert closes the gate: it %s', (_, row) => {
    const rows = pairRows(sound, row, { topK: 2 });
    expect(rows.helpfulLogprobs).toBeNull();
    expect(mixed(rows, { weight: 0, rule: 'arithmetic' }).p.reduce((sum, x) => sum + x)).toBeCloseTo(1);
  });
});
