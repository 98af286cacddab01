/** The gate: everything between two experts' logits and one sampled token. See README.md for the formulas. */
export { LOG_ZERO, SPENT_UNBOUNDED } from './add-spending.ts';
export { type DrawKey, seedKey } from './draw-key.ts';
export { effectiveFloor, effectiveWeight } from './effective-weight.ts';
export { type Gated, type GateInput, gateDistribution } from './gate-distribution.ts';
export { GateError, type GateErrorCode } from './gate-error.ts';
export { gateLayersStep, type LayersStepInput } from './gate-layers-step.ts';
export { type GateStepInput, gateStep, startGate } from './gate-step.ts';
export type { GatePolicy, GateState, GateStep, SamplingParams } from './gate-types.ts';
export type { GatedDistribution } from './gated-distribution.ts';
export { logSoftmax } from './log-softmax.ts';
export { penaltyBias } from './penalty-bias.ts';
export { addWeight, NO_WEIGHTS, summarizeWeights, type WeightSummary } from './summarize-weights.ts';
export { gateTruncatedStep, type TruncatedRows, truncationBound } from './truncated-rows.ts';
export { uniformAt } from './uniform-at.ts';
