import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SIGNALS, type Signal } from '#shared/line/categories.ts';
import { Line } from '#shared/line/line.ts';
import type { SignalValues } from '#shared/line/rules.ts';
import { SecondLook } from '#shared/protocol/second-look.ts';
import { compile, refusalWords, secondLookOf } from './compile.ts';
import { LOOSEST, Policy, STRICTEST } from './schema.ts';
import { arbitraryMode, arbitraryPolicy, arbitrarySignalValues } from './testing/arbitrary-policy.ts';
import { isAtLeastAsTight } from './testing/tighter.ts';
import { tighten } from './tighten.ts';

const benign = Object.fromEntries(SIGNALS.map((signal) => [signal, 0])) as Record<Signal, number>;

describe('laws', () => {
  test('a compiled line is valid, and its ceiling is never below its floor', () => {
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
  test('a shadow rule changes neither a line nor a refusal, nor what a backend is asked to look at', () => {
    fc.assert(
      fc.property(
        arbitraryPolicy,
        arbitraryPolicy,
        arbitrarySignalValues,
        arbitraryMode,
        (policy, { shadow }, signals, mode) => {
          const shadowed = tighten(policy, { ...LOOSEST, shadow });
          expect(compile(shadowed, signals, { mode })).toEqual(compile(policy, signals, { mode }));
          expect(secondLookOf(shadowed)).toEqual(secondLookOf(policy));
        },
      ),
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
  test('raising a signal never gives a looser line', () => {
    fc.assert(
      fc.property(
        arbitraryPolicy,
        arbitrarySignalValues,
        fc.constantFrom(...SIGNALS),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (policy, probabilities, signal, raise) => {
          const raised = { ...probabilities, [signal]: Math.min(1, (probabilities[signal] ?? 1) + raise) };
          expect(isAtLeastAsTight(compile(policy, raised), compile(policy, probabilities))).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
  test('a line is tightest when no probability is known', () => {
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
  ])('has the expected bounds at probability %d', (violence, { floor, budget, action }) => {
    const line = lineAt({ violence });
    expect(line).toMatchObject({ action });
    expect('floor' in line && line.floor).toBeCloseTo(floor, 12);
    if (budget === null) expect(line).toMatchObject({ budget: null });
    else expect('budget' in line && line.budget).toBeCloseTo(budget, 12);
  });
  test('a ramp of zero width is a step', () => {
    expect(lineAt({ child_abuse: 0.79 })).toMatchObject({ action: 'mix' });
    expect(lineAt({ child_abuse: 0.8 })).toEqual({ action: 'refuse', because: 'child_abuse' });
  });
});

describe('what a rule may set besides floor, budget and action', () => {
  const ramp = { from: 0.5, full: 0.9 };
  const policy = Policy.parse({
    floor: 0.2,
    budget: null,
    opening: { tokens: 4, floor: 0.3 },
    earned: { start: 1, rate: 0.25 },
    categories: { sexual: { ceiling: 0.6, opening: { tokens: 16, floor: 0.8 }, ramp } },
  });
  const lineAt = (sexual: number) => {
    const verdict = compile(policy, { ...benign, sexual });
    if (verdict.action !== 'answer') throw new Error(verdict.action);
    return verdict.line;
  };

  test.each([
    [0.5, 1, { tokens: 4, floor: 0.3 }],
    [0.7, 0.8, { tokens: 16, floor: 0.5 }],
    [0.9, 0.6, { tokens: 16, floor: 0.8 }],
  ])('at probability %d the ceiling has fallen and the opening has risen', (probability, ceiling, opening) => {
    const line = lineAt(probability);
    expect(line.ceiling).toBeCloseTo(ceiling, 12);
    expect(line.opening.tokens).toBe(opening.tokens);
    expect(line.opening.floor).toBeCloseTo(opening.floor, 12);
  });
  test('a policy’s earned budget is the line’s', () => {
    expect(lineAt(0).earned).toEqual({ start: 1, rate: 0.25 });
  });
  test('a directive’s rules have neither texts nor what changes nothing', () => {
    const refusing = Policy.parse({
      floor: 0.2,
      budget: null,
      categories: { hate: { action: 'refuse', refusal: 'No.', ramp }, sexual: { ceiling: 0.6, ramp } },
      shadow: { violence: { action: 'refuse', ramp } },
    });
    const look = secondLookOf(refusing)!;
    expect(SecondLook.parse(look)).toEqual(look);
    expect(look).toMatchObject({
      base: 0.2,
      rules: {
        hate: { floor: 0, budget: null, action: 'refuse', ramp },
        sexual: { floor: 0, ceiling: 0.6, budget: null, action: 'mix', ramp },
      },
    });
    expect(Object.keys(look.rules.hate!)).not.toContain('refusal');
    expect(Object.keys(look.rules)).not.toContain('violence');
    expect(secondLookOf(LOOSEST)).toBeNull();
  });
});

test('a refusal is in the words of its rule, else in those of the policy, else in nobody’s', () => {
  const ramp = { from: 0.5, full: 0.9 };
  const categories = {
    self_harm: { action: 'refuse', refusal: 'Call 1-2-3.', ramp },
    hate: { action: 'refuse', ramp },
  };
  const policy = Policy.parse({ floor: 0, budget: null, refusal: 'We are a bakery.', categories });
  expect(refusalWords(policy, 'self_harm')).toBe('Call 1-2-3.');
  expect(refusalWords(policy, 'hate')).toBe('We are a bakery.');
  expect(refusalWords(policy, null)).toBe('We are a bakery.');
  expect(refusalWords(LOOSEST, 'hate')).toBeNull();
});

test('the floor wins if it crosses the ceiling', () => {
  expect(compile({ ...LOOSEST, floor: 0.8, ceiling: 0.4 }, benign)).toMatchObject({
    line: { floor: 0.8, ceiling: 0.8 },
  });
});

test('the strictest policy allows only the safety expert, with a budget of 0', () => {
  expect(compile(STRICTEST, benign)).toMatchObject({
    action: 'answer',
    line: { action: 'safety_only', floor: 1, ceiling: 1, budget: 0 },
  });
});

test('a policy that refuses everything refuses every prompt', () => {
  expect(compile({ ...LOOSEST, action: 'refuse' }, benign)).toEqual({ action: 'refuse', because: null });
});

describe('the mode layers', () => {
  const allowing: Policy = { ...LOOSEST, modes: ['logits', 'layers'] };

  test('is used if the request asks for it and the policy allows it, and never by default', () => {
    expect(compile(allowing, benign, { mode: 'layers' })).toMatchObject({ action: 'answer', line: { mode: 'layers' } });
    expect(compile(allowing, benign)).toMatchObject({ action: 'answer', line: { mode: 'logits' } });
  });
  test('is forbidden for every prompt if the policy does not allow it', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitrarySignalValues, (policy, probabilities) => {
        const forbidding: Policy = { ...policy, modes: ['logits'] };
        const forbidden = { action: 'forbid', mode: 'layers' };
        expect(compile(forbidding, probabilities, { mode: 'layers' })).toEqual(forbidden);
        expect(compile(tighten(allowing, forbidding), probabilities, { mode: 'layers' })).toEqual(forbidden);
      }),
    );
  });
  test('is forbidden by the strictest policy, and by a policy that does not mention it', () => {
    for (const policy of [STRICTEST, Policy.parse({ floor: 0, budget: null })]) {
      expect(compile(policy, benign, { mode: 'layers' })).toEqual({ action: 'forbid', mode: 'layers' });
    }
  });
  test('makes no difference if the safety expert answers alone', () => {
    const line = { action: 'safety_only', mode: 'logits', floor: 1 };
    expect(compile({ ...allowing, action: 'safety_only' }, benign, { mode: 'layers' })).toMatchObject({ line });
  });
});

describe('text that the classifier did not understand', () => {
  const document = {
    floor: 0.2,
    budget: null,
    categories: { violence: { floor: 0.6, budget: 4, ramp: { from: 0.5, full: 0.9 } } },
  };
  const budgetAt = (policy: Policy, signals: SignalValues) => {
    const verdict = compile(policy, { ...benign, ...signals });
    return verdict.action === 'answer' ? verdict.line.budget : verdict.action;
  };
  const floorAt = (policy: Policy, signals: SignalValues) => {
    const verdict = compile(policy, { ...benign, ...signals });
    return verdict.action === 'answer' ? verdict.line.floor : verdict.action;
  };

  test('gets the strictest floor of the categories if unread, and goes halfway there if uncertain', () => {
    const policy = Policy.parse(document);
    expect(floorAt(policy, {})).toBe(0.2);
    expect(floorAt(policy, { unread: 1 })).toBe(0.6);
    expect(floorAt(policy, { uncertain: 1 })).toBeCloseTo(0.4, 12);
    expect(floorAt(policy, { uncertain: 0.575 })).toBeCloseTo(0.3, 12);
    expect(floorAt(policy, { uncertain: 0.2 })).toBe(0.2);
    expect(budgetAt(policy, { unread: 1 })).toBe(4);
    expect(budgetAt(policy, { uncertain: 1 })).toBe(8);
  });
  test('counts a category that refuses, or leaves only the safety expert, as a floor of 1', () => {
    for (const action of ['safety_only', 'refuse']) {
      const categories = { hate: { action, ramp: { from: 0.5, full: 0.9 } } };
      const policy = Policy.parse({ floor: 0.2, budget: null, categories });
      expect(floorAt(policy, { unread: 1 })).toBe(1);
      expect(floorAt(policy, { uncertain: 1 })).toBeCloseTo(0.6, 12);
    }
  });
  test('gets the strictest budget if unread, even if no floor rises; if uncertain, budgets of 0 do not count', () => {
    const hate = { budget: 0, ramp: { from: 0.5, full: 0.9 } };
    const policy = Policy.parse({ floor: 0, budget: null, categories: { hate } });
    expect(budgetAt(policy, { unread: 1 })).toBe(0);
    expect(budgetAt(policy, { uncertain: 1 })).toBeNull();
  });
  test.each([
    ['demo/balanced.json', 0.95, 2, 0.625, 4],
    ['demo/strict.json', 1, 0, 0.95, 2],
    ['presets/operator.json', 1, 0, 0.5, null],
  ])('gets its default rules in %s', (file, unreadFloor, unreadBudget, uncertainFloor, uncertainBudget) => {
    const policy = Policy.parse(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')));
    expect(policy.categories.unread).toMatchObject({ floor: unreadFloor, budget: unreadBudget });
    expect(policy.categories.uncertain!.floor).toBeCloseTo(uncertainFloor, 12);
    expect(policy.categories.uncertain!.budget).toBe(uncertainBudget);
  });
  test('follows the policy’s own rules, if it has any for such text', () => {
    const ramp = { from: 0, full: 1 };
    const categories = { ...document.categories, unread: { action: 'refuse', ramp }, uncertain: { floor: 0.3, ramp } };
    const policy = Policy.parse({ ...document, categories });
    expect(floorAt(policy, { unread: 1 })).toBe('refuse');
    expect(floorAt(policy, { uncertain: 1 })).toBe(0.3);
  });
  test('gets no rules if the policy has no categories', () => {
    expect(Policy.parse({ floor: 0.4, budget: 3 }).categories).toEqual({});
  });
  test('is treated at least as strictly by a joined policy as by either of the two', () => {
    const strict = Policy.parse(document);
    const silentlyLoose = Policy.parse({
      floor: 0,
      budget: null,
      categories: { unread: { floor: 0.1, ramp: { from: 0, full: 1 } } },
    });
    expect(floorAt(tighten(silentlyLoose, strict), { unread: 1 })).toBe(0.6);
    expect(floorAt(tighten(strict, silentlyLoose), { unread: 1 })).toBe(0.6);
  });
  test('gets its default rules once: parsing a policy again changes nothing', () => {
    fc.assert(
      fc.property(arbitraryPolicy, (policy) => {
        const parsed = Policy.parse(policy);
        expect(Policy.parse(parsed)).toEqual(parsed);
      }),
    );
  });
});
