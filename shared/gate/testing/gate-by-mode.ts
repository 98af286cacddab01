import type { Mode } from '#shared/line/line.ts';
import { effectiveFloor } from '../effective-weight.ts';
import { gateLayersStep } from '../gate-layers-step.ts';
import { type GateStepInput, gateStep } from '../gate-step.ts';
import type { GateStep } from '../gate-types.ts';
import { logSoftmax } from '../log-softmax.ts';
import { type LogprobsInput, type StepDistribution, stepDistribution } from '../step-distribution.ts';
import { gateRows, type Logits, type Rest } from './gate-rows.ts';

/** A router's proposal, held between the bounds as a model holds the gates of its layers row. */
function held(wish: number, { policy, state }: Pick<LogprobsInput, 'policy' | 'state'>): number {
  const floor = effectiveFloor(policy, state);
  return Math.min(Math.max(wish, floor), Math.max(policy.ceiling, floor));
}

/**
 * The two ways to a mixture. In the mode `layers` the second row is the mixture itself, whatever
 * the model put into it.
 */
export const GATE_BY_MODE: Record<
  Mode,
  { gate: (rows: Logits, rest: Rest) => StepDistribution; draw: (input: GateStepInput) => GateStep }
> = {
  logits: { gate: gateRows, draw: gateStep },
  layers: {
    gate({ safetyLogits, helpfulLogits }, { proposal, ...rest }) {
      const alpha = held(proposal, rest);
      return stepDistribution({ safety: logSoftmax(safetyLogits), layers: logSoftmax(helpfulLogits), alpha, ...rest });
    },
    draw({ helpfulLogits, proposal, ...rest }) {
      return gateLayersStep({ layersLogits: helpfulLogits, alpha: held(proposal, rest), ...rest });
    },
  },
};
