/**
 * The laws of a whole answer (README.md): its account, its draws, and how another backend continues
 * it. Each law holds in every mode.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKEND_MODES } from '#shared/line/line.ts';
import { startGate } from './gate-step.ts';
import type { GateState, GateStep } from './gate-types.ts';
import { logSoftmax } from './log-softmax.ts';
import { shapeDistribution } from './shape-distribution.ts';
import type { LogprobsInput } from './step-distribution.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';
import { tree } from './testing/tree.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateByMode }) => {
  describe.each(BACKEND_MODES)('an answer, in the mode %s', (mode) => {
    const { draw } = gateByMode[mode];

    /** The next `length` tokens after `answer`, as a decode loop draws them. */
    function decode(
      experts: ReturnType<typeof tree>,
      rest: Pick<LogprobsInput, 'policy' | 'sampling'>,
      { length, answer = [], state = startGate() }: { length: number; answer?: number[]; state?: GateState },
    ): GateStep[] {
      const steps: GateStep[] = [];
      for (let i = 0; i < length; i++) {
        const soFar = [...answer, ...steps.map((step) => step.token)];
        steps.push(draw({ ...experts(soFar), ...rest, state: steps.at(-1)?.state ?? state }));
      }
      return steps;
    }

    test('spent is the running sum of log q - log p_s~, and never above K', () => {
      fc.assert(
        fc.property(
          fc.nat(),
          arbitrary.policy,
          arbitrary.finiteBudget,
          arbitrary.sampling,
          (seed, policy, budget, sampling) => {
            const steps = decode(tree(seed), { policy: { ...policy, budget }, sampling }, { length: 16 });
            let expected = 0;
            steps.forEach(({ token, logprob, spent }, i) => {
              const { safetyLogits } = tree(seed)(steps.slice(0, i).map((step) => step.token));
              expected += logprob - shapeDistribution(logSoftmax(safetyLogits)!, sampling)![token]!;
              expect(spent).toBeCloseTo(expected, 9);
              expect(spent).toBeLessThanOrEqual(budget);
            });
          },
        ),
        { numRuns: 60 },
      );
    });

    test('the same key, prompt and policy give the same answer', () => {
      fc.assert(
        fc.property(fc.nat(), arbitrary.policy, arbitrary.sampling, (seed, policy, sampling) => {
          const once = decode(tree(seed), { policy, sampling }, { length: 12 });
          expect(decode(tree(seed), { policy, sampling }, { length: 12 })).toEqual(once);
        }),
        { numRuns: 50 },
      );
    });

    test('an answer cut off at any token continues from its state in JSON as if nothing had happened', () => {
      fc.assert(
        fc.property(
          fc.nat(),
          arbitrary.policy,
          arbitrary.sampling,
          fc.boolean(),
          fc.nat(11),
          (seed, policy, shape, greedy, cut) => {
            const sampling = greedy ? { ...shape, temperature: 0 } : shape;
            const whole = decode(tree(seed), { policy, sampling }, { length: 12 });
            const first = decode(tree(seed), { policy, sampling }, { length: cut });
            const state: GateState = JSON.parse(JSON.stringify(first.at(-1)?.state ?? startGate()));
            const answer = first.map((step) => step.token);
            const rest = decode(tree(seed), { policy, sampling }, { length: 12 - cut, answer, state });
            expect([...first, ...rest]).toEqual(whole);
          },
        ),
        { numRuns: 60 },
      );
    });
  });
});
