import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { effectiveFloor, effectiveWeight } from './effective-weight.ts';
import * as arbitrary from './testing/arbitraries.ts';
import * as oracle from './testing/oracle.ts';

test('the weight is the proposal, held between floor and ceiling', () => {
  expect(effectiveWeight(0.2, { floor: 0.3, ceiling: 0.9 })).toBe(0.3);
  expect(effectiveWeight(0.5, { floor: 0.3, ceiling: 0.9 })).toBe(0.5);
  expect(effectiveWeight(0.95, { floor: 0.3, ceiling: 0.9 })).toBe(0.9);
});

test('a floor above the ceiling wins', () => {
  expect(effectiveWeight(0.1, { floor: 0.8, ceiling: 0.2 })).toBe(0.8);
});

test.each([NaN, Infinity, -Infinity, -0.01, 1.01])(
  'a proposal of %d closes the gate, whatever the ceiling',
  (proposal) => {
    expect(effectiveWeight(proposal, { floor: 0, ceiling: 0.2 })).toBe(1);
  },
);

test('the opening raises the floor for its own tokens only, and never lowers it', () => {
  const policy = {
    floor: 0.3,
    ceiling: 1,
    opening: { tokens: 2, floor: 0.7 },
    rule: 'geometric',
    budget: null,
    earned: null,
  } as const;
  expect([0, 1, 2, 3].map((position) => effectiveFloor(policy, { position }))).toEqual([0.7, 0.7, 0.3, 0.3]);
  expect(effectiveFloor({ ...policy, opening: { tokens: 2, floor: 0.1 } }, { position: 0 })).toBe(0.3);
});

test('the weight matches the oracle', () => {
  fc.assert(
    fc.property(arbitrary.policy, arbitrary.share, fc.nat(8), (policy, proposal, position) => {
      const floor = effectiveFloor(policy, { position });
      expect(effectiveWeight(proposal, { floor, ceiling: policy.ceiling })).toBe(
        oracle.weight(proposal, policy, position),
      );
    }),
  );
});
