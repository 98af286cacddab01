import type { GatePolicy } from '../gate-types.ts';

/** A policy that asks for nothing, for tests that ask for one thing. */
export const OPEN_POLICY: GatePolicy = {
  floor: 0,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  rule: 'geometric',
  budget: null,
  earned: null,
};
