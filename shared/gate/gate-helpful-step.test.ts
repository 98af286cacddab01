import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOG_ZERO, SPENT_UNBOUNDED } from './add-spending.ts';
import { GateError } from './gate-error.ts';
import type { HelpfulStepInput } from './gate-helpful-step.ts';
import { startGate } from './gate-step.ts';
import type { GatePolicy } from './gate-types.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { EXAMPLE_STEP } from './testing/example-step.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateHelpfulStep, expectStep }) => {
  const OPEN: GatePolicy = {
    floor: 0,
    ceiling: 1,
    opening: { tokens: 0, floor: 0 },
    rule: 'geometric',
    budget: null,
    earned: null,
  };

  const { safetyLogits: _, ...example } = { ...EXAMPLE_STEP, helpfulLogits: Float32Array.of(0, 3, -1, 1) };
  const input: HelpfulStepInput = { ...example, policy: OPEN, proposal: 0, state: startGate() };

  function codeOf(run: () => unknown): string {
    try {
      run();
    } catch (thrown) {
      if (thrown instanceof GateError) return thrown.code;
      throw thrown;
    }
    return 'none';
  }

  test('the safety expert’s row changes nothing at weight 0 without a budget, so the token is the same without it', () => {
    const anySampling = fc.tuple(arbitrary.wishes, fc.boolean(), fc.constantFrom(0, 3));
    const pinned = fc.constantFrom({ ceiling: 0, proposal: 0.7 }, { ceiling: 1, proposal: 0 });
    const rule = fc.constantFrom('geometric' as const, 'arithmetic' as const);
    fc.assert(
      fc.property(arbitrary.rows(), pinned, rule, anySampling, (rows, { ceiling, proposal }, rule, drawn) => {
        const [wishes, greedy, topLogprobs] = drawn;
        fc.pre(arbitrary.leavesToken(rows.safetyLogits, wishes));
        const rest = {
          policy: { ...OPEN, rule, ceiling, opening: { tokens: 3, floor: 0 } },
          sampling: greedy ? { ...wishes, temperature: 0 } : wishes,
          report: { topLogprobs, experts: true },
          proposal,
          state: startGate(),
        };
        const both = gateStep({ ...rows, ...rest });
        const alone = () => gateHelpfulStep({ helpfulLogits: rows.helpfulLogits, ...rest });
        // There the gate closed, and without the safety expert there is nothing to close on.
        if (both.weight !== 0) expect(codeOf(alone)).toBe('helpful_row_unusable');
        else {
          expectStep(alone(), {
            ...both,
            logprobSafety: LOG_ZERO,
            top: both.top!.map((token) => ({ ...token, logprobSafety: LOG_ZERO })),
            spent: SPENT_UNBOUNDED,
            state: { position: 1, spent: SPENT_UNBOUNDED },
          });
        }
      }),
      { numRuns: 500 },
    );
  });

  describe('it throws instead of drawing', () => {
    test.each<[string, Partial<GatePolicy>]>([
      ['a floor', { floor: 0.01 }],
      ['a floor for this position', { opening: { tokens: 1, floor: 0.01 } }],
      ['a budget', { budget: 20 }],
      ['an earned budget', { earned: { start: 5, rate: 1 } }],
      ['a number out of range', { ceiling: Number.NaN }],
    ])('if the line has %s', (_, changes) => {
      expect(codeOf(() => gateHelpfulStep({ ...input, policy: { ...OPEN, ...changes } }))).toBe('safety_row_missing');
    });

    test.each([0.5, 1e-300, Number.NaN, -1])('if the router proposes %d and the ceiling allows it', (proposal) => {
      expect(codeOf(() => gateHelpfulStep({ ...input, proposal }))).toBe('safety_row_missing');
    });

    test.each([
      ['no row', null],
      ['a NaN in the row', Float32Array.of(0, Number.NaN, 1, 1)],
      ['no token in the row', new Float32Array(4).fill(-Infinity)],
    ])('if there is %s', (_, helpfulLogits) => {
      expect(codeOf(() => gateHelpfulStep({ ...input, helpfulLogits }))).toBe('helpful_row_unusable');
    });

    test('if the mask leaves no token', () => {
      const masked = { ...input, sampling: { ...input.sampling, mask: new Set([0, 1, 2, 3]) } };
      expect(codeOf(() => gateHelpfulStep(masked))).toBe('helpful_row_unusable');
    });

    test('if mask and bias leave no token, even where the mask alone leaves some', () => {
      const ban = new Map([0, 1, 2, 3].map((id) => [id, -Infinity]));
      const banned = { ...input, sampling: { ...input.sampling, bias: ban } };
      expect(codeOf(() => gateHelpfulStep(banned))).toBe('helpful_row_unusable');
    });

    test('if there is no policy at all', () => {
      // What plain JavaScript can pass although the types forbid it.
      expect(codeOf(() => gateHelpfulStep({ ...input, policy: null as never }))).toBe('safety_row_missing');
    });
  });

  test('the opening counts only while it lasts', () => {
    const policy = { ...OPEN, opening: { tokens: 2, floor: 0.5 } };
    expect(codeOf(() => gateHelpfulStep({ ...input, policy, state: startGate(1) }))).toBe('safety_row_missing');
    expect(gateHelpfulStep({ ...input, policy, state: startGate(2) })).toMatchObject({ weight: 0, floor: 0 });
  });

  test('an answer without an account is overdrawn under every budget, wherever it is resumed', () => {
    const { state } = gateHelpfulStep(input);
    const resumed = { ...EXAMPLE_STEP, helpfulLogits: input.helpfulLogits, policy: { ...OPEN, budget: 50 }, state };
    expect(gateStep({ ...resumed, proposal: 0 })).toMatchObject({ weight: 1, spent: SPENT_UNBOUNDED });
  });
});
