import { type Gated, type GateInput, gateDistribution } from '../gate-distribution.ts';
import { logSoftmax } from '../log-softmax.ts';

export type Logits = { safetyLogits: Float32Array; helpfulLogits: Float32Array };
export type Rest = Pick<GateInput, 'policy' | 'sampling' | 'state'> & { proposal: number };

/** The distribution of a step of the mode `logits`, from two rows of logits `[vocab]`. */
export const gateRows = ({ safetyLogits, helpfulLogits }: Logits, rest: Rest): Gated =>
  gateDistribution({ safety: logSoftmax(safetyLogits), helpful: logSoftmax(helpfulLogits), ...rest });
