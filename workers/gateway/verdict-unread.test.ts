import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compile } from '#policies/compile.ts';
import { Policy } from '#policies/schema.ts';
import { arbitraryMode, arbitraryPolicy, arbitrarySignalValues } from '#policies/testing/arbitrary-policy.ts';
import { isAtLeastAsTight } from '#policies/testing/tighter.ts';
import { verdictUnread } from './verdict-unread.ts';

test('whatever a forced word would have been found to be, unread it gets no looser answer', () => {
  fc.assert(
    fc.property(arbitraryPolicy, arbitrarySignalValues, arbitraryMode, (policy, signals, mode) => {
      expect(isAtLeastAsTight(verdictUnread(policy, { mode }), compile(policy, signals, { mode }))).toBe(true);
    }),
  );
});

test('a policy that prices what is unread, and refuses what it reads, refuses what a schema forces unread', () => {
  const ramp = { from: 0.5, full: 0.9 };
  const rules = { violence: { action: 'refuse', ramp }, unread: { floor: 0.5, ramp: { from: 0, full: 1 } } };
  const policy = Policy.parse({ floor: 0.1, budget: 20, categories: rules });
  expect(compile(policy, { violence: 0, unread: 1 })).toMatchObject({ action: 'answer' });
  expect(verdictUnread(policy, { mode: 'logits' })).toEqual({ action: 'refuse', because: 'unread' });
});

test('a policy that refuses nothing answers at its strictest', () => {
  const ramp = { from: 0.5, full: 0.9 };
  const policy = Policy.parse({ floor: 0.1, budget: 20, categories: { violence: { floor: 0.8, budget: 3, ramp } } });
  expect(verdictUnread(policy, { mode: 'logits' })).toMatchObject({
    action: 'answer',
    line: { floor: 0.8, budget: 3 },
  });
});
