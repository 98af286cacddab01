/** The gate's public API: what other folders use. README.md has the formulas. */
export { LOG_ZERO, SPENT_UNBOUNDED } from './add-spending.ts';
export { type DrawKey, seedKey } from './draw-key.ts';
export { effectiveFloor } from './effective-weight.ts';
export { GateError, type GateErrorCode } from './gate-error.ts';
export { gateStep, startGate } from './gate-step.ts';
export type { GatePolicy, GateState, GateStep, Report, SamplingParams, TopToken } from './gate-types.ts';
export { isAllowed } from './is-allowed.ts';
export { logSoftmax } from './log-softmax.ts';
export { mixExperts } from './mix-experts.ts';
export { type OwnRow, pairRows } from './pair-rows.ts';
export { penaltyBias, repetitionScale } from './penalty-bias.ts';
export { addWeight, NO_WEIGHTS, type RunningWeights } from './running-weights.ts';
export { scoreToken, type TokenScore } from './score-token.ts';
export { gateTruncatedStep, type TruncatedRows } from './truncated-rows.ts';
export { uniformAt } from './uniform-at.ts';
