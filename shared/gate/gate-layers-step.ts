/**
 * `gateStep` for the mode `layers`. It takes the row that the model mixed itself, instead of the
 * helpfulness expert's. Everything after the mixture is the same gate: shaping, budget, greedy
 * choice, draw, account.
 *
 *     const step = gateLayersStep({ safetyLogits, layersLogits, alpha, policy, sampling, state });
 */
import { type GateStepInput, readRow, stepOnLogprobs } from './gate-step.ts';
import type { GateStep } from './gate-types.ts';

export type LayersStepInput = Omit<GateStepInput, 'helpfulLogits' | 'proposal'> & {
  /**
   * [vocabulary]. null if the row failed, or was not computed because the policy says
   * `safety_only`.
   */
  layersLogits: Float32Array | null;
  /**
   * The safety expert's gate in that row, as its mean over the layers. The model holds each gate
   * between floor and ceiling.
   */
  alpha: number;
};

/** @throws GateError if not even the safety expert can be drawn from; see gate-error.ts */
export function gateLayersStep({ safetyLogits, layersLogits, ...rest }: LayersStepInput): GateStep {
  return stepOnLogprobs({ safety: readRow(safetyLogits), layers: readRow(layersLogits), ...rest });
}
