import type { GatePolicy } from '../gate-types.ts';

/** A policy that restricts nothing, for tests that add one restriction. */
export const OPEN_POLICY: GatePolicy = {
  floor: 0,
  ceiling: 1,
  opening: { tokens: 0, floor: 0 },
  rule: 'geometric',
  budget: null,
  earned: null,
};
