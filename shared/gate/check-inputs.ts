/**
 * How far the gate trusts its inputs. It stands at the end of a long chain (policy, directive,
 * engine, network) and is the last place to catch a mistake, so it checks again. A mistake has one
 * of two outcomes. If the policy makes no sense, only the safety expert is left, which is always a
 * permitted answer. If the sampling parameters or the state make no sense, nothing can be drawn, so
 * we throw.
 */
import { isDrawKey } from './draw-key.ts';
import { GateError } from './gate-error.ts';
import type { GatePolicy, GateState, Report, SamplingParams } from './gate-types.ts';

/**
 * A number in 0..1. NaN fails every comparison, so it does not count as one. We check the type
 * because JSON turns NaN into null, and null compares like 0: a broken floor would act as no floor.
 */
export const isShare = (x: number): boolean => typeof x === 'number' && x >= 0 && x <= 1;

const isNats = (x: number): boolean => Number.isFinite(x) && x >= 0;

const isCount = (x: number): boolean => Number.isSafeInteger(x) && x >= 0;

/** The policy, or null if it is missing or has a number that is NaN or out of range. */
export function usablePolicy(policy: GatePolicy | null | undefined): GatePolicy | null {
  if (policy == null || policy.opening == null) return null;
  const { floor, ceiling, opening, rule, budget, earned } = policy;
  const sound =
    isShare(floor) &&
    isShare(ceiling) &&
    isShare(opening.floor) &&
    isCount(opening.tokens) &&
    (rule === 'geometric' || rule === 'arithmetic') &&
    // Only null means no budget. Infinity or undefined is a mistake made earlier.
    (budget === null || isNats(budget)) &&
    (earned === null || (typeof earned === 'object' && isNats(earned.start) && isNats(earned.rate)));
  return sound ? policy : null;
}

/** Throws unless every parameter makes sense. */
export function checkSampling({
  temperature,
  topP,
  topK = 0,
  minP = 0,
  key,
  mask,
  allowed,
  scale,
  bias,
}: SamplingParams): void {
  if (!(Number.isFinite(temperature) && temperature >= 0)) refuseSampling(`temperature ${temperature}`);
  if (!isShare(topP)) refuseSampling(`topP ${topP}`);
  if (!isCount(topK)) refuseSampling(`topK ${topK}`);
  if (!isShare(minP)) refuseSampling(`minP ${minP}`);
  // Errors are logged, and for this answer the key is as good as the secret. So the message leaves
  // it out.
  if (!isDrawKey(key)) refuseSampling('a key that is not four unsigned 32-bit words');
  // The mask has to be a set, because it is read once for each row. An iterator would be empty the
  // second time.
  if (mask !== undefined && !(mask instanceof Set)) refuseSampling('a mask that is no set');
  for (const token of mask ?? []) if (!isCount(token)) refuseSampling(`a mask of token ${token}`);
  if (allowed !== undefined && !(allowed instanceof Uint32Array)) refuseSampling('allowed tokens that are no words');
  // A factor of 0 would make every such token certain, and a negative one the likelier, the less
  // likely it was.
  for (const [token, factor] of scale ?? []) {
    if (!(Number.isFinite(factor) && factor > 0)) refuseSampling(`scale ${factor} of token ${token}`);
  }
  // -Infinity is a ban. +Infinity would make every other token impossible and divide infinity by
  // infinity.
  for (const [token, nats] of bias ?? []) {
    if (!Number.isFinite(nats) && nats !== -Infinity) refuseSampling(`bias ${nats} of token ${token}`);
  }
}

/** Throws unless the report can be given. */
export function checkReport(report: Report | undefined): void {
  if (report === undefined || isCount(report.topLogprobs)) return;
  throw new GateError('sampling_invalid', `cannot report the ${report.topLogprobs} likeliest tokens`);
}

/** Throws unless `startGate` or a step could have returned this state. */
export function checkState({ position, spent }: GateState): void {
  if (isCount(position) && Number.isFinite(spent)) return;
  throw new GateError('state_invalid', `no gate was ever at position ${position} with ${spent} nats spent`);
}

function refuseSampling(what: string): never {
  throw new GateError('sampling_invalid', `cannot sample with ${what}`);
}
