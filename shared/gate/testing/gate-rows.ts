import { logSoftmax } from '../log-softmax.ts';
import { type LogprobsInput, type StepDistribution, stepDistribution } from '../step-distribution.ts';

export type Logits = { safetyLogits: Float32Array; helpfulLogits: Float32Array };
export type Rest = Pick<LogprobsInput, 'policy' | 'sampling' | 'state'> & { proposal: number };

/** The distribution of one step in the mode `logits`, from two rows of logits `[vocabulary]`. */
export const gateRows = ({ safetyLogits, helpfulLogits }: Logits, rest: Rest): StepDistribution =>
  stepDistribution({ safety: logSoftmax(safetyLogits), helpful: logSoftmax(helpfulLogits), ...rest });
