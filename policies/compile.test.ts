import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LABELS, type Label } from '#shared/api/categories.ts';
import { Line } from '#shared/protocol/directive.ts';
import { compile, type SignalValues } from './compile.ts';
import { LOOSEST, Policy, STRICTEST } from './schema.ts';
import { arbitraryMode, arbitraryPolicy, arbitrarySignalValues, isAtLeastAsTight } from './testing/arbitrary-policy.ts';
import { tighten } from './tighten.ts';

const benign = Object.fromEntries(LABELS.map((label) => [label, 0])) as Record<Label, number>;

describe('laws', () => {
  test('a compiled line is a valid line, its ceiling never below its floor', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitrarySignalValues, arbitraryMode, (policy, probabilities, mode) => {
        const verdict = compile(policy, probabilities, { mode });
        if (verdict.action !== 'answer') return;
        expect(Line.parse(verdict.line)).toEqual(verdict.line);
        expect(verdict.line.ceiling).toBeGreaterThanOrEqual(verdict.line.floor);
        expect(verdict.line.floor).toBeGreaterThanOrEqual(policy.floor);
      }),
    );
  });
  test('tightening a policy never gives a looser line', () => {
    fc.assert(
      fc.property(
        arbitraryPolicy,
        arbitraryPolicy,
        arbitrarySignalValues,
        arbitraryMode,
        (a, b, probabilities, mode) => {
          const [tight, loose] = [tighten(a, b), a].map((policy) => compile(policy, probabilities, { mode }));
          expect(isAtLeastAsTight(tight!, loose!)).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
  test('raising a probability never gives a looser line', () => {
    fc.assert(
      fc.property(
        arbitraryPolicy,
        arbitrarySignalValues,
        fc.constantFrom(...LABELS),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (policy, probabilities, label, raise) => {
          const raised = { ...probabilities, [label]: Math.min(1, (probabilities[label] ?? 1) + raise) };
          expect(isAtLeastAsTight(compile(policy, raised), compile(policy, probabilities))).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
  test('no probabilities at all is the tightest a policy can be', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitrarySignalValues, (policy, probabilities) => {
        expect(isAtLeastAsTight(compile(policy, {}), compile(policy, probabilities))).toBe(true);
      }),
    );
  });
});

describe('a category along its ramp', () => {
  const policy = Policy.parse({
    floor: 0.2,
    budget: null,
    categories: {
      violence: { floor: 0.6, budget: 4, action: 'safety_only', ramp: { from: 0.5, full: 0.9 } },
      child_abuse: { action: 'refuse', ramp: { from: 0.8, full: 0.8 } },
    },
  });
  const lineAt = (probabilities: SignalValues) => {
    const verdict = compile(policy, { ...benign, ...probabilities });
    return verdict.action === 'answer' ? verdict.line : verdict;
  };

  test.each([
    [0, { floor: 0.2, budget: null, action: 'mix' }],
    [0.5, { floor: 0.2, budget: null, action: 'mix' }],
    [0.7, { floor: 0.4, budget: 8, action: 'mix' }],
    [0.9, { floor: 1, budget: 4, action: 'safety_only' }],
    [Number.NaN, { floor: 1, budget: 4, action: 'safety_only' }],
  ])('at probability %d', (violence, { floor, budget, action }) => {
    const line = lineAt({ violence });
    expect(line).toMatchObject({ action });
    expect('floor' in line && line.floor).toBeCloseTo(floor, 12);
    if (budget === null) expect(line).toMatchObject({ budget: null });
    else expect('budget' in line && line.budget).toBeCloseTo(budget, 12);
  });
  test('a ramp without width is a step', () => {
    expect(lineAt({ child_abuse: 0.79 })).toMatchObject({ action: 'mix' });
    expect(lineAt({ child_abuse: 0.8 })).toEqual({ action: 'refuse', because: 'child_abuse' });
  });
});

test('where floor and ceiling cross, the floor wins', () => {
  expect(compile({ ...LOOSEST, floor: 0.8, ceiling: 0.4 }, benign)).toMatchObject({
    line: { floor: 0.8, ceiling: 0.8 },
  });
});

test('the strictest policy is the safety expert alone with nothing to spend', () => {
  expect(compile(STRICTEST, benign)).toMatchObject({
    action: 'answer',
    line: { action: 'safety_only', floor: 1, ceiling: 1, budget: 0 },
  });
});

test('a policy that refuses everything refuses whatever the prompt', () => {
  expect(compile({ ...LOOSEST, action: 'refuse' }, benign)).toEqual({ action: 'refuse', because: null });
});

describe('the mode layers', () => {
  const allowing: Policy = { ...LOOSEST, layers_mode: true };

  test('is the line’s where it is asked for and allowed, and never unasked', () => {
    expect(compile(allowing, benign, { mode: 'layers' })).toMatchObject({ action: 'answer', line: { mode: 'layers' } });
    expect(compile(allowing, benign)).toMatchObject({ action: 'answer', line: { mode: 'logits' } });
  });
  test('is forbidden to whoever’s policy does not allow it, whatever the prompt', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitrarySignalValues, (policy, probabilities) => {
        const forbidding = { ...policy, layers_mode: false };
        const forbidden = { action: 'forbid', mode: 'layers' };
        expect(compile(forbidding, probabilities, { mode: 'layers' })).toEqual(forbidden);
        expect(compile(tighten(allowing, forbidding), probabilities, { mode: 'layers' })).toEqual(forbidden);
      }),
    );
  });
  test('is forbidden by the strictest policy, and by one that does not mention it', () => {
    for (const policy of [STRICTEST, Policy.parse({ floor: 0, budget: null })]) {
      expect(compile(policy, benign, { mode: 'layers' })).toEqual({ action: 'forbid', mode: 'layers' });
    }
  });
  test('is no matter where the safety expert answers alone', () => {
    const line = { action: 'safety_only', mode: 'logits', floor: 1 };
    expect(compile({ ...allowing, action: 'safety_only' }, benign, { mode: 'layers' })).toMatchObject({ line });
  });
});
