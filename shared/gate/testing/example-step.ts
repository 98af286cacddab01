/** One plain step, for tests that change one thing in it. */
import { seedKey } from '../draw-key.ts';
import { startGate } from '../gate-step.ts';
import type { GatePolicy } from '../gate-types.ts';

const policy: GatePolicy = {
  floor: 0.2,
  ceiling: 0.8,
  opening: { tokens: 2, floor: 0.6 },
  rule: 'geometric',
  budget: 3,
  earned: null,
};

export const EXAMPLE_STEP = {
  safetyLogits: Float32Array.of(1, 0, 2, -1),
  policy,
  sampling: { temperature: 0.9, topP: 0.97, key: seedKey(1) },
  state: startGate(),
};
