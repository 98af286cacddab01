/**
 * The laws of weights and rules (README.md), one test each. If one fails, fast-check prints the
 * seed.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { startGate } from './gate-step.ts';
import type { GatePolicy } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { shapeDistribution } from './shape-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { GATE_VERSIONS, type Logits } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import * as oracle from './testing/oracle.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, gateByMode, expectRow }) => {
  const plain = { temperature: 1, topP: 1, key: seedKey(0) };

  test('weight 1 is exactly the safety expert, whatever the other expert masks, under every budget and sampling', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.policy, arbitrary.wishes, (rows, policy, sampling) => {
        fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling));
        const line = { ...policy, floor: 1 };
        const { q, weight } = gateRows(rows, { policy: line, sampling, proposal: 0, state: startGate() });
        expect(weight).toBe(1);
        expect(q.logprobs).toBe(q.reference);
        expectRow(
          q.logprobs,
          shapeDistribution(logSoftmax(rows.safetyLogits)!, { ...sampling, scale: new Map(), bias: new Map() }),
        );
      }),
    );
  });

  test('weight 0 is exactly the helpfulness expert', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.rule, arbitrary.sampling, (rows, rule, sampling) => {
        const { q } = gateRows(rows, { policy: { ...OPEN_POLICY, rule }, sampling, proposal: 0, state: startGate() });
        expectRow(q.logprobs, shapeDistribution(logSoftmax(rows.helpfulLogits)!, sampling));
      }),
    );
  });

  test('adding a constant to a row of logits does not change one bit', () => {
    const constant = fc.integer({ min: -64000, max: 64000 }).map((n) => n / 64);
    fc.assert(
      fc.property(
        arbitrary.rows(),
        fc.tuple(constant, constant),
        arbitrary.policy,
        arbitrary.sampling,
        arbitrary.share,
        ({ safetyLogits, helpfulLogits }, [a, b], policy, sampling, proposal) => {
          const rest = { policy, sampling, proposal, state: startGate() };
          const moved = {
            safetyLogits: safetyLogits.map((x) => x + a),
            helpfulLogits: helpfulLogits.map((x) => x + b),
          };
          expect(gateStep({ ...moved, ...rest })).toEqual(gateStep({ safetyLogits, helpfulLogits, ...rest }));
        },
      ),
    );
  });

  test('raising the floor or the opening’s floor, or lengthening the opening, never lowers the weight', () => {
    fc.assert(
      fc.property(
        arbitrary.policy,
        fc.oneof(arbitrary.share, fc.constant(NaN)),
        fc.nat(8),
        fc.tuple(arbitrary.share, arbitrary.share, fc.nat(5)),
        (policy, proposal, position, [floor, openingFloor, tokens]) => {
          const raised = {
            ...policy,
            floor: Math.max(policy.floor, floor),
            opening: {
              tokens: policy.opening.tokens + tokens,
              floor: Math.max(policy.opening.floor, openingFloor),
            },
          };
          const rows = { safetyLogits: Float32Array.of(0, 1), helpfulLogits: Float32Array.of(1, 0) };
          const weightUnder = (line: GatePolicy) =>
            gateRows(rows, { policy: line, proposal, sampling: plain, state: startGate(position) }).weight;
          expect(weightUnder(raised)).toBeGreaterThanOrEqual(weightUnder(policy));
        },
      ),
    );
  });

  const mixed = (rows: Logits, rule: GatePolicy['rule'], w: number) => ({
    p: [
      ...gateRows(rows, { policy: { ...OPEN_POLICY, rule }, sampling: plain, proposal: w, state: startGate() }).q
        .logprobs,
    ].map(Math.exp),
    ps: oracle.softmax(rows.safetyLogits),
    ph: oracle.softmax(rows.helpfulLogits),
  });

  test('arithmetic: KL(p_s||p) <= -log w', () => {
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.insideShare, (rows, w) => {
        const { p, ps } = mixed(rows, 'arithmetic', w);
        expect(oracle.kl(ps, p)).toBeLessThanOrEqual(-Math.log(w) + 1e-9);
      }),
      { numRuns: 500 },
    );
  });

  test('geometric: KL(p||p_s) <= (1-w)/w * KL(p_s||p_h)', () => {
    fc.assert(
      fc.property(arbitrary.rows({ masks: false }), arbitrary.insideShare, (rows, w) => {
        const { p, ps, ph } = mixed(rows, 'geometric', w);
        expect(oracle.kl(p, ps)).toBeLessThanOrEqual(((1 - w) / w) * oracle.kl(ps, ph) + 1e-9);
        // The reason: p minimises the cost below.
        const cost = (x: number[]) => w * oracle.kl(x, ps) + (1 - w) * oracle.kl(x, ph);
        expect(cost(p)).toBeLessThanOrEqual(cost(ps) + 1e-9);
        expect(cost(p)).toBeLessThanOrEqual(cost(ph) + 1e-9);
      }),
      { numRuns: 500 },
    );
  });

  test('the gate matches the oracle', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        arbitrary.share,
        fc.tuple(fc.nat(8), fc.double({ min: -3, max: 1, noNaN: true })),
        (rows, policy, sampling, proposal, [position, spentShare]) => {
          // No more is spent than the budget allows.
          const state = { position, spent: spentShare * Math.min(policy.budget ?? 1, 4) };
          const rest = { policy, sampling, proposal, state };
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling));
          const expected = oracle.gate({ ...rows, ...rest });
          const q = gateRows(rows, rest).q.logprobs.map(Math.exp);
          for (const [i, p] of expected.entries()) expect(q[i]).toBeCloseTo(p, 8);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('the gate matches the oracle on a mixture made in the layers', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        arbitrary.share,
        fc.nat(8),
        (rows, policy, sampling, proposal, position) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, sampling));
          const state = { position, spent: 0 };
          const ps = oracle.reference(rows.safetyLogits, sampling);
          const shaped = oracle.shape(oracle.softmax(rows.helpfulLogits), sampling);
          const closed = oracle.weight(proposal, policy, position) === 1 || shaped.some(Number.isNaN);
          const p = closed ? ps : shaped;
          const q = gateByMode.layers.gate(rows, { policy, sampling, proposal, state }).q.logprobs.map(Math.exp);
          for (const [i, expected] of oracle.cap(p, ps, oracle.bound(policy, position)).entries())
            expect(q[i]).toBeCloseTo(expected, 8);
        },
      ),
      { numRuns: 500 },
    );
  });
});
