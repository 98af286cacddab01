/**
 * The gate at its full speed where WebAssembly can be compiled (Node, browsers), and the plain gate
 * elsewhere (Workers). Both do the same.
 *
 *     const gate = createGate();
 *     const step = gate.step({ safetyLogits, helpfulLogits, proposal, policy, sampling, state });
 */
import { LOG_ZERO, SPENT_UNBOUNDED } from '../add-spending.ts';
import { gateHelpfulStep, type HelpfulStepInput, leavesSafetyOut } from '../gate-helpful-step.ts';
import { gateLayersStep, type LayersStepInput } from '../gate-layers-step.ts';
import { type GateStepInput, gateStep } from '../gate-step.ts';
import type { GateStep } from '../gate-types.ts';
import { FastGate } from './fast-gate.ts';
import { type Kernel, loadKernel } from './kernel.ts';

export type Gate = {
  /** `gateStep` */
  step(input: GateStepInput): GateStep;
  /** `gateLayersStep` */
  layersStep(input: LayersStepInput): GateStep;
  /** `gateHelpfulStep` */
  helpfulStep(input: HelpfulStepInput): GateStep;
};

/**
 * Makes a gate with memory of its own: about 48 bytes per token of the largest vocabulary, used
 * again for every step. It keeps nothing from one step to the next, so one gate serves any number
 * of answers.
 *
 * @param kernel null for the plain gate
 */
export function createGate(kernel: Kernel | null = loadKernel()): Gate {
  if (!kernel) return { step: gateStep, layersStep: gateLayersStep, helpfulStep: gateHelpfulStep };
  const fast = new FastGate(kernel);
  return {
    step(input) {
      const { helpfulLogits, proposal, ...rest } = input;
      return fast.step({ ...rest, besideLogits: helpfulLogits, beside: { proposal } }) ?? gateStep(input);
    },
    layersStep(input) {
      const { layersLogits, alpha, ...rest } = input;
      return fast.step({ ...rest, besideLogits: layersLogits, beside: { alpha } }) ?? gateLayersStep(input);
    },
    helpfulStep: (input) => helpfulStep(fast, input) ?? gateHelpfulStep(input),
  };
}

/**
 * The one row there is stands in for the safety expert's. Only scale and bias tell the two apart,
 * so without them it need not be read twice.
 */
function helpfulStep(fast: FastGate, { helpfulLogits, proposal, ...rest }: HelpfulStepInput): GateStep | null {
  const { policy, sampling, state } = rest;
  if (!helpfulLogits || !leavesSafetyOut(policy, { proposal, state })) return null;
  const wishes = Boolean(sampling.scale?.size || sampling.bias?.size);
  const beside = { besideLogits: wishes ? helpfulLogits : null, beside: { proposal } };
  const step = fast.step({ ...rest, safetyLogits: helpfulLogits, ...beside });
  if (!step || (wishes && step.weight !== 0)) return null;
  const spent = SPENT_UNBOUNDED;
  const top = step.top?.map(({ token, logprob, logprobSafety }) => ({
    token,
    logprob,
    ...(logprobSafety !== undefined && { logprobSafety: LOG_ZERO, logprobHelpful: logprobSafety }),
  }));
  return {
    ...step,
    weight: 0,
    logprobSafety: LOG_ZERO,
    logprobHelpful: step.logprobSafety,
    spent,
    state: { ...step.state, spent },
    ...(top && { top }),
  };
}
