import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LOG_ZERO } from './add-spending.ts';
import { gateLayersStep } from './gate-layers-step.ts';
import { gateStep, startGate } from './gate-step.ts';
import { scoreToken } from './score-token.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';

const sampling = { temperature: 1, topP: 1, key: [1, 2, 3, 4] as const };
const report = { topLogprobs: 12, experts: true };

test('a score is what a step at temperature 1 without a budget would report of that token', () => {
  fc.assert(
    fc.property(
      arbitrary.rows(),
      arbitrary.share,
      arbitrary.share,
      arbitrary.rule,
      fc.tuple(fc.boolean(), fc.boolean()),
      ({ safetyLogits, helpfulLogits }, proposal, floor, rule, [inLayers, isMissing]) => {
        const line = { ...OPEN_POLICY, floor, rule };
        const beside = isMissing ? null : helpfulLogits;
        const rest = { safetyLogits, report };
        const step = { policy: line, sampling, state: startGate() };
        const { top } = inLayers
          ? gateLayersStep({ ...rest, layersLogits: beside, alpha: proposal, ...step })
          : gateStep({ ...rest, helpfulLogits: beside, proposal, ...step });
        for (const [token] of safetyLogits.entries()) {
          const score = inLayers
            ? scoreToken(token, { ...rest, line, layersLogits: beside, alpha: proposal })
            : scoreToken(token, { ...rest, line, helpfulLogits: beside, proposal });
          expect(score.top).toEqual(top);
          const { top: _, ...own } = score;
          const reported = top!.find((one) => one.token === token);
          if (reported) expect(own).toEqual(reported);
          else expect(own.logprob).toBe(LOG_ZERO);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('without the safety expert, which only a line that leaves it out may ask for, the other one scores', () => {
  const helpfulLogits = Float32Array.of(Math.log(3), 0);
  const score = scoreToken(0, { safetyLogits: null, helpfulLogits, proposal: 0, line: OPEN_POLICY, report });
  expect(score.logprob).toBeCloseTo(Math.log(0.75), 6);
  expect(score.logprobSafety).toBe(LOG_ZERO);
});

test('a safety row that is no distribution scores nothing', () => {
  const rows = { safetyLogits: Float32Array.of(Number.NaN, 0), helpfulLogits: Float32Array.of(0, 0) };
  expect(() => scoreToken(0, { ...rows, proposal: 0, line: OPEN_POLICY, report })).toThrow(
    expect.objectContaining({ code: 'safety_row_unusable' }),
  );
});
