import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShadowReport } from '#shared/api/plimsoll-extension.ts';
import { JUDGEMENTS, SIGNALS, type Signal } from '#shared/line/categories.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import { compile } from './compile.ts';
import { Policy } from './schema.ts';
import { shadowReports } from './shadow.ts';
import { arbitraryPolicy, arbitrarySignalValues } from './testing/arbitrary-policy.ts';
import { tighten } from './tighten.ts';

const benign = Object.fromEntries(SIGNALS.map((signal) => [signal, 0])) as Record<Signal, number>;
const ramp = { from: 0.5, full: 0.9 };
const policy = Policy.parse({
  floor: 0.2,
  budget: 10,
  categories: { violence: { floor: 0.6, ramp } },
  shadow: { violence: { floor: 1, budget: 2, ramp }, hate: { action: 'refuse', ramp } },
});

test('a shadow rule that fires is reported with the bounds that it would have set', () => {
  const [report, ...others] = shadowReports(policy, { edge: { ...benign, violence: 0.7 }, backend: null });
  expect(others).toEqual([]);
  expect(report).toMatchObject({ signal: 'violence', look: 'edge', probability: 0.7, tightens: true });
  expect(report!.would).toMatchObject({ action: 'mix', ceiling: 1 });
  expect(report!.would.floor).toBeCloseTo(0.6, 12);
  expect(report!.would.budget).toBeCloseTo(4, 12);
});

test('a refusal in shadow is reported as one', () => {
  const [report] = shadowReports(policy, { edge: { ...benign, hate: 0.95 }, backend: null });
  expect(report).toMatchObject({ signal: 'hate', tightens: true, would: { action: 'refuse', floor: 1 } });
});

test('a rule that does not fire is not reported', () => {
  expect(shadowReports(policy, { edge: { ...benign, violence: 0.5 }, backend: null })).toEqual([]);
});

describe('with a second look', () => {
  const backend = (found: Partial<Record<Signal, number>>) =>
    lookCategories(JUDGEMENTS.map((judgement) => found[judgement] ?? 0));

  test('the higher probability counts, and the report says who found it', () => {
    const edge = { ...benign, violence: 0.7 };
    const found = shadowReports(policy, { edge, backend: backend({ violence: 0.95, hate: 0.1 }) });
    expect(found).toEqual([expect.objectContaining({ signal: 'violence', look: 'backend', probability: 0.95 })]);
    const calmer = shadowReports(policy, { edge, backend: backend({ violence: 0.6 }) });
    expect(calmer).toEqual([expect.objectContaining({ look: 'edge', probability: 0.7 })]);
  });
});

test('what a report says would be done is what is done once the rule applies', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitrarySignalValues, (some, edge) => {
      for (const report of shadowReports(some, { edge, backend: null })) {
        expect(ShadowReport.parse(report)).toEqual(report);
        const categories = { [report.signal]: some.shadow[report.signal]! };
        // A rule that joins another one may do more than the two beside each other, by its ramp. So
        // only rules on signals that have none are put in force.
        if (some.categories[report.signal] !== undefined) continue;
        const verdict = compile(tighten(some, { ...some, categories: { ...some.categories, ...categories } }), edge);
        if (verdict.action !== 'answer') expect(report.would.action).toBe(verdict.action);
        else expect(verdict.line).toMatchObject(report.would);
        const before = compile(some, edge);
        const isSame = JSON.stringify(before) === JSON.stringify(verdict);
        if (before.action === 'answer') expect(report.tightens).toBe(!isSame);
      }
    }),
    { numRuns: 1000 },
  );
});
