/**
 * `gateStep` for the mode `layers`: instead of the helpfulness expert's row comes the row that the model mixed itself. Everything
 * after the mixture is the same gate: shaping, budget, greedy choice, draw, account.
 *
 *     const step = gateLayersStep({ safetyLogits, layersLogits, alpha, policy, sampling, state });
 */
import { type GateStepInput, readRow, stepOnLogprobs } from './gate-step.ts';
import type { GateStep } from './gate-types.ts';

export type LayersStepInput = Omit<GateStepInput, 'helpfulLogits' | 'proposal'> & {
  /** [vocabulary]; null is a row that failed, or one that the policy's `safety_only` did not ask for. */
  layersLogits: Float32Array | null;
  /** The safety expert's gate in that row, which was held between floor and ceiling; mean over the layers. */
  alpha: number;
};

/** @throws GateError where not even the safety expert can be drawn from; see gate-error.ts. */
export function gateLayersStep({ safetyLogits, layersLogits, ...rest }: LayersStepInput): GateStep {
  return stepOnLogprobs({ safety: readRow(safetyLogits), layers: readRow(layersLogits), ...rest });
}
