import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keepsPrompts } from './retention.ts';
import type { PolicyRule } from './rule-schema.ts';
import { LOOSEST, Policy, STRICTEST } from './schema.ts';
import { arbitraryPolicy } from './testing/arbitrary-policy.ts';
import { isPolicyAtLeastAsTight } from './testing/tighter.ts';
import { tighten, tightenAll } from './tighten.ts';
import { canonicalPolicy } from './version.ts';

/** Policies are equal if their content is, whatever the order of their keys. */
function expectSame(a: Policy, b: Policy): void {
  expect(canonicalPolicy(a)).toBe(canonicalPolicy(b));
}
const isTighter = (a: Policy, b: Policy) => canonicalPolicy(tighten(a, b)) === canonicalPolicy(a);

describe('tighten', () => {
  test('is commutative', () => {
    fc.assert(fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => expectSame(tighten(a, b), tighten(b, a))));
  });
  test('is associative', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, arbitraryPolicy, (a, b, c) =>
        expectSame(tighten(tighten(a, b), c), tighten(a, tighten(b, c))),
      ),
    );
  });
  test('is idempotent', () => {
    fc.assert(fc.property(arbitraryPolicy, (a) => expectSame(tighten(a, a), a)));
  });
  test('has the loosest policy as its neutral element', () => {
    fc.assert(
      fc.property(arbitraryPolicy, (a) => {
        expectSame(tighten(LOOSEST, a), a);
        expectSame(tighten(a, LOOSEST), a);
      }),
    );
  });
  test('is monotone: tightening one side tightens the result', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, arbitraryPolicy, (a, more, b) => {
        expect(isTighter(tighten(tighten(a, more), b), tighten(a, b))).toBe(true);
      }),
    );
  });
  test('gives an upper bound: the result is at least as tight as each part', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
        expect(isTighter(tighten(a, b), a) && isTighter(tighten(a, b), b)).toBe(true);
      }),
    );
  });
  test('is at least as tight as each part in every field, by orders that do not depend on it', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
        const joined = tighten(a, b);
        expect(isPolicyAtLeastAsTight(joined, a) && isPolicyAtLeastAsTight(joined, b)).toBe(true);
      }),
    );
  });
  test('gives the same result if levels are repeated, reordered or joined with the loosest policy', () => {
    fc.assert(
      fc.property(fc.array(arbitraryPolicy, { maxLength: 4 }), (levels) => {
        expectSame(tightenAll([...levels].reverse().concat(levels, LOOSEST)), tightenAll(levels));
      }),
    );
  });
  test('ignores the order of keys in a category map', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
        const reversed = { ...a, categories: Object.fromEntries(Object.entries(a.categories).reverse()) };
        expectSame(tighten(reversed, b), tighten(b, a));
      }),
    );
  });
});

test('floors rise, ceilings and budgets fall, null is infinity, and the stricter action, rule and permission win', () => {
  const nothing: PolicyRule = {
    floor: 0,
    ceiling: 1,
    budget: null,
    action: 'mix',
    opening: { tokens: 0, floor: 0 },
    refusal: null,
    ramp: { from: 0.5, full: 0.9 },
  };
  const limits = { ...LOOSEST.limits, max_tokens: 100 };
  const hate = { ...nothing, floor: 1, budget: 0 };
  const a: Policy = {
    ...LOOSEST,
    floor: 0.3,
    budget: null,
    action: 'safety_only',
    earned: { start: 2, rate: 0.1 },
    models: ['large', 'small'],
    refusal: 'Ask a nurse.',
    retention: { traffic: true, share: 0.2, responses: true, days: 30 },
    categories: { violence: { ...nothing, floor: 0.8, opening: { tokens: 8, floor: 0.9 } } },
  };
  const b: Policy = {
    ...LOOSEST,
    floor: 0.2,
    ceiling: 0.6,
    budget: 7,
    rule: 'geometric',
    modes: ['logits'],
    models: ['small', 'tiny'],
    limits,
    earned: { start: 3, rate: 0 },
    shaping: { n: 4, logprobs: false, bias: true, penalties: true, plain_prompts: false, grammar: true, tools: true },
    trace: 'summary',
    retention: { traffic: true, share: 1, responses: false, days: 9 },
    categories: {
      violence: { ...nothing, floor: 0.1, budget: 3, action: 'refuse', ramp: { from: 0.6, full: 0.7 } },
      hate,
    },
  };
  expect(tighten(a, b)).toEqual({
    description: null,
    floor: 0.3,
    ceiling: 0.6,
    opening: { tokens: 0, floor: 0 },
    rule: 'geometric',
    budget: 7,
    earned: { start: 2, rate: 0 },
    action: 'safety_only',
    refusal: 'Ask a nurse.',
    modes: ['logits'],
    models: ['small'],
    limits,
    shaping: { n: 4, logprobs: false, bias: true, penalties: true, plain_prompts: false, grammar: true, tools: true },
    cache: { answers: true },
    trace: 'summary',
    retention: { traffic: true, share: 0.2, responses: false, days: 9 },
    categories: {
      violence: {
        ...nothing,
        floor: 0.8,
        budget: 3,
        action: 'refuse',
        opening: { tokens: 8, floor: 0.9 },
        ramp: { from: 0.5, full: 0.7 },
      },
      hate,
    },
    shadow: {},
    tests: [],
  });
});

test('the mode layers is allowed only if every level allows it', () => {
  fc.assert(
    fc.property(fc.array(arbitraryPolicy, { maxLength: 4 }), (levels) => {
      expect(tightenAll(levels).modes.includes('layers')).toBe(levels.every(({ modes }) => modes.includes('layers')));
    }),
  );
});

test('prompts and responses are kept only if every level allows it, of the smallest share and for the fewest days', () => {
  fc.assert(
    fc.property(fc.array(arbitraryPolicy, { minLength: 1, maxLength: 4 }), (levels) => {
      const { retention } = tightenAll(levels);
      expect(keepsPrompts(retention)).toBe(levels.every(({ retention: { traffic, share } }) => traffic && share > 0));
      expect(retention.responses).toBe(levels.every(({ retention: { responses } }) => responses));
      expect(retention.share).toBe(Math.min(...levels.map(({ retention: { share } }) => share)));
      expect(retention.days).toBe(Math.min(...levels.map(({ retention: { days } }) => days)));
    }),
  );
});

test("prompts and responses are kept only if the tenant's own document says so", () => {
  const own = (retention: object) => tighten(LOOSEST, Policy.parse({ floor: 0, budget: null, retention })).retention;
  expect(keepsPrompts(own({}))).toBe(false);
  expect(own({ traffic: true })).toEqual({ traffic: true, share: 0.01, responses: false, days: 7 });
  expect(keepsPrompts(own({ traffic: true, share: 0 }))).toBe(false);
  expect(own({ responses: true })).toEqual({ traffic: false, share: 0.01, responses: true, days: 7 });
  expect(keepsPrompts(STRICTEST.retention) || STRICTEST.retention.responses).toBe(false);
});

test('nothing loosens the strictest policy', () => {
  fc.assert(
    fc.property(arbitraryPolicy, (policy) => {
      const joined = tighten(STRICTEST, policy);
      expect(joined).toMatchObject({ floor: 1, budget: 0, rule: 'geometric', modes: ['logits'] });
      expect(joined.shaping).toEqual(STRICTEST.shaping);
      for (const [name, limit] of Object.entries(STRICTEST.limits)) {
        if (limit === null) continue;
        expect(joined.limits[name as keyof Policy['limits']], name).toBeLessThanOrEqual(limit);
      }
      expect(joined.action).not.toBe('mix');
    }),
  );
});

describe('a shadow rule', () => {
  test('joined with a rule that applies leaves that one in force, and stays in shadow', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, ({ categories }, { shadow }) => {
        const joined = tighten({ ...LOOSEST, categories }, { ...LOOSEST, shadow });
        expectSame(joined, { ...LOOSEST, categories, shadow });
      }),
    );
  });
  test('never decides what the join of two other policies applies', () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (a, b) => {
        const without = tighten({ ...a, shadow: {} }, { ...b, shadow: {} });
        expectSame({ ...tighten(a, b), shadow: {} }, without);
      }),
    );
  });
});
