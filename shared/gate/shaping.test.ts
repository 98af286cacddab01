/**
 * What shapes which distribution: the laws about a client's bias and about masks. The oracle treats
 * the two separately.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from './draw-key.ts';
import { startGate } from './gate-step.ts';
import { isAllowed } from './is-allowed.ts';
import type { LogprobsInput } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { GATE_VERSIONS, type Logits } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';
import * as oracle from './testing/oracle.ts';
import { numbersAt, paths, tree } from './testing/tree.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, expectRow, expectStep }) => {
  const budgets = fc.double({ min: 0, max: 3, noNaN: true });
  const SIZE = 4;

  /**
   * The wishes of a client that does its worst. At every step it bans, pushes or scales other
   * words, by other amounts. About half of the time it bans the safety expert's favourite. The mask
   * changes too, as a grammar's does, and always leaves the safety expert a word.
   */
  function wishesAt(seed: number, answer: number[], { safetyLogits }: Logits) {
    const u = numbersAt(seed, [...answer, -1]);
    const bias = new Map<number, number>();
    for (let i = 0; i < SIZE; i++) {
      if (u(i) < 0.3) bias.set(i, -Infinity);
      else if (u(i) < 0.8) bias.set(i, 20 * (u(SIZE + i) - 0.5));
    }
    if (u(2 * SIZE) < 0.5) bias.set(safetyLogits.indexOf(Math.max(...safetyLogits)), -Infinity);
    const scale = new Map([0, 1, 2, 3].filter((i) => u(4 * SIZE + i) < 0.3).map((i) => [i, 0.2 + 3 * u(5 * SIZE + i)]));
    const mask = new Set([0, 1, 2, 3].filter((i) => u(3 * SIZE + i) < 0.2));
    return { scale, bias, mask: arbitrary.leavesToken(safetyLogits, { mask }) ? mask : new Set<number>() };
  }

  test('q(H) <= e^K * p_s~(H), with p_s~ unbiased, whatever biases and penalties a client chooses as the answer grows', () => {
    let tightest = 0;
    fc.assert(
      fc.property(fc.nat(), arbitrary.rule, budgets, arbitrary.sampling, (seed, rule, budget, shape) => {
        const experts = tree(seed, { size: SIZE });
        const answers = paths((answer, state) => {
          const { proposal, ...rows } = experts(answer);
          const { mask, ...wishes } = wishesAt(seed, answer, rows);
          const sampling = { ...shape, ...wishes, mask };
          const ps = oracle.reference(rows.safetyLogits, { ...shape, mask });
          return { ...gateRows(rows, { policy: { ...OPEN_POLICY, rule, budget }, sampling, proposal, state }), ps };
        });
        const most = Math.exp(budget);
        for (const { q, ps } of answers) {
          expect(q).toBeLessThanOrEqual(most * ps * (1 + 1e-9));
          tightest = Math.max(tightest, budget > 0.5 ? q / ps / most : 0);
        }
        // The worst set H holds exactly the answers with q > e^K * p_s~.
        const worst = answers.reduce((sum, { q, ps }) => sum + Math.max(0, q - most * ps), 0);
        expect(worst).toBeLessThanOrEqual(1e-12);
        expect(answers.reduce((sum, { q }) => sum + q, 0)).toBeCloseTo(1, 10);
      }),
      { numRuns: 400 },
    );
    expect(tightest).toBeGreaterThan(1 - 1e-9);
  });

  test('neither bias nor scale changes the reference', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        fc.tuple(arbitrary.share, fc.boolean()),
        (rows, policy, { scale, bias, ...shape }, [proposal, greedy]) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, shape));
          const sampling = greedy ? { ...shape, temperature: 0 } : shape;
          const referenceOf = (sampling: LogprobsInput['sampling']) =>
            gateRows(rows, { policy, sampling, proposal, state: startGate() }).q.reference;
          expectRow(referenceOf({ ...sampling, scale, bias }), referenceOf(sampling));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('neither bias nor scale has an effect if the weight is 1 or the budget is 0', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        fc.tuple(fc.boolean(), fc.boolean()),
        (rows, policy, { scale, bias, ...shape }, [greedy, byWeight]) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, shape));
          const sampling = greedy ? { ...shape, temperature: 0 } : shape;
          const line = byWeight ? { ...policy, floor: 1 } : { ...policy, budget: 0 };
          const draw = (sampling: LogprobsInput['sampling']) =>
            gateStep({ ...rows, policy: line, sampling, proposal: 0, state: startGate() });
          const [biased, plain] = [draw({ ...sampling, scale, bias }), draw(sampling)];
          // With a budget of 0 and greedy decoding, the mixture may choose between equal
          // favourites.
          fc.pre(!greedy || byWeight || new Set(rows.safetyLogits).size === rows.safetyLogits.length);
          expect(biased.token).toBe(plain.token);
          expect(biased.spent).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('masked tokens have probability 0 in mixture, reference and q, and are never drawn', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        fc.tuple(arbitrary.share, fc.boolean()),
        (rows, policy, shape, [proposal, greedy]) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, shape));
          const rest = {
            policy,
            sampling: greedy ? { ...shape, temperature: 0 } : shape,
            proposal,
            state: startGate(),
          };
          const { q, mixture } = gateRows(rows, rest);
          for (const token of shape.mask) {
            if (token >= mixture.length) continue;
            for (const row of [q.logprobs, q.reference, mixture]) expect(row[token]).toBe(-Infinity);
          }
          const { token } = gateStep({ ...rows, ...rest });
          expect(shape.mask.has(token)).toBe(false);
          if (!shape.allowed) return;
          expect(isAllowed(shape.allowed, token)).toBe(true);
          for (const row of [q.logprobs, q.reference, mixture]) {
            for (const [i, lp] of row.entries()) if (!isAllowed(shape.allowed, i)) expect(lp).toBe(-Infinity);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a mask and a ban make the same mixture, but only the mask takes the token from the reference', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        fc.tuple(arbitrary.sampling, arbitrary.mask),
        arbitrary.share,
        (rows, policy, [shape, mask], proposal) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, { mask }));
          const bias = new Map([...mask].map((id) => [id, -Infinity]));
          const rest = { policy, proposal, state: startGate() };
          const masked = gateRows(rows, { ...rest, sampling: { ...shape, mask } });
          const banned = gateRows(rows, { ...rest, sampling: { ...shape, bias } });
          if (masked.weight < 1) expectRow(masked.mixture, banned.mixture);
          const [out, all] = [
            oracle.reference(rows.safetyLogits, { ...shape, mask }),
            oracle.reference(rows.safetyLogits, shape),
          ];
          for (const [i, p] of out.entries()) expect(Math.exp(masked.q.reference[i]!)).toBeCloseTo(p, 9);
          for (const [i, p] of all.entries()) expect(Math.exp(banned.q.reference[i]!)).toBeCloseTo(p, 9);
        },
      ),
    );
  });

  test('a ban reaches only as far as the budget: the safety expert supplies what the mixture cannot hold', () => {
    // p_s~ = (0.8, 0.2): a refusal and something else. The client bans the refusal, and e^K is 2.
    const rows = { safetyLogits: Float32Array.of(Math.log(4), 0), helpfulLogits: Float32Array.of(0, 0) };
    const policy = { ...OPEN_POLICY, budget: Math.LN2 };
    const sampling = { temperature: 1, topP: 1, key: [1, 2, 3, 4] as const };
    const rest = { policy, proposal: 0.5, state: startGate() };
    const { q, weight } = gateRows(rows, { ...rest, sampling: { ...sampling, bias: new Map([[0, -Infinity]]) } });
    expect(weight).toBe(0.5);
    expect([...q.logprobs].map((lp) => Math.exp(lp).toFixed(6))).toEqual(['0.600000', '0.400000']);
    const masked = gateRows(rows, { ...rest, sampling: { ...sampling, mask: new Set([0]) } });
    expect([...masked.q.logprobs].map(Math.exp)).toEqual([0, 1]);
  });

  test('allowed bits and a mask of all other tokens are the same', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        fc.tuple(arbitrary.sampling, arbitrary.mask, arbitrary.bias),
        arbitrary.share,
        (rows, policy, [shape, mask, bias], proposal) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, { mask }));
          const allowed = new Uint32Array(1).fill(2 ** 32 - 1);
          for (const token of mask) allowed[0]! &= ~(1 << token);
          const rest = { policy, proposal, state: startGate() };
          const byBits = gateStep({ ...rows, ...rest, sampling: { ...shape, bias, allowed } });
          // Bits scale the row to a sum of 1. An empty mask leaves it as it is, which can differ in
          // the last bit. An id beyond the row masks nothing, but the mask is not empty.
          const beyond = new Set(mask).add(rows.safetyLogits.length);
          expectStep(byBits, gateStep({ ...rows, ...rest, sampling: { ...shape, bias, mask: beyond } }));
        },
      ),
    );
  });

  test('a token beyond the allowed words is not allowed', () => {
    const rows = { safetyLogits: new Float32Array(70), helpfulLogits: new Float32Array(70) };
    const step = (allowed: Uint32Array, seed: number) =>
      gateStep({
        ...rows,
        policy: OPEN_POLICY,
        proposal: 0.5,
        sampling: { temperature: seed % 2, topP: 1, key: seedKey(seed), allowed },
        state: startGate(),
      }).token;
    for (let seed = 0; seed < 20; seed++) {
      expect(step(Uint32Array.of(0, 2 ** 31), seed)).toBe(63);
      expect(() => step(Uint32Array.of(0), seed)).toThrow(expect.objectContaining({ code: 'safety_row_unusable' }));
    }
  });
});
