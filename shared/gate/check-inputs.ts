/**
 * What the gate believes of what it is handed. It sits at the end of a long chain (policy, directive, engine, network)
 * and is the last place where a mistake can be caught, so it looks again. Two outcomes: a policy that makes no sense
 * leaves the safety expert alone, because that is always a lawful answer; sampling parameters or a state that make no
 * sense leave nothing to do, and throw.
 */
import { isDrawKey } from './draw-key.ts';
import { GateError } from './gate-error.ts';
import type { GatePolicy, GateState, SamplingParams } from './gate-types.ts';

/**
 * A number of 0..1. NaN compares false with everything and so is none. The type is asked for because JSON turns NaN
 * into null, and null compares like 0: a broken floor would be none at all.
 */
export const isShare = (x: number): boolean => typeof x === 'number' && x >= 0 && x <= 1;

const isNats = (x: number): boolean => Number.isFinite(x) && x >= 0;

const isCount = (x: number): boolean => Number.isSafeInteger(x) && x >= 0;

/** The policy, or null where it is missing or any number in it is NaN or out of range. */
export function usablePolicy(policy: GatePolicy | null | undefined): GatePolicy | null {
  if (policy == null || policy.opening == null) return null;
  const { floor, ceiling, opening, rule, budget, earned } = policy;
  const sound =
    isShare(floor) &&
    isShare(ceiling) &&
    isShare(opening.floor) &&
    isCount(opening.tokens) &&
    (rule === 'geometric' || rule === 'arithmetic') &&
    // Only null means no budget: an Infinity or an undefined is a mistake somewhere above.
    (budget === null || isNats(budget)) &&
    (earned === null || (typeof earned === 'object' && isNats(earned.start) && isNats(earned.rate)));
  return sound ? policy : null;
}

/** Throws unless every parameter has a meaning. */
export function checkSampling({ temperature, topP, key, mask, bias }: SamplingParams): void {
  if (!(Number.isFinite(temperature) && temperature >= 0)) refuseSampling(`temperature ${temperature}`);
  if (!isShare(topP)) refuseSampling(`topP ${topP}`);
  // The key itself stays out of the message: errors are logged, and it is as good as the secret for
  // this answer.
  if (!isDrawKey(key)) refuseSampling('a key that is not four unsigned 32-bit words');
  // A set and nothing else: it is read once for each row, and an iterator would be empty the second
  // time.
  if (mask !== undefined && !(mask instanceof Set)) refuseSampling('a mask that is no set');
  for (const token of mask ?? []) if (!isCount(token)) refuseSampling(`a mask of token ${token}`);
  // -Infinity is a ban; +Infinity would make every other token impossible and divide infinity by infinity.
  for (const [token, nats] of bias ?? []) {
    if (!Number.isFinite(nats) && nats !== -Infinity) refuseSampling(`bias ${nats} of token ${token}`);
  }
}

/** Throws unless the state is one that `startGate` or a step can have returned. */
export function checkState({ position, spent }: GateState): void {
  if (isCount(position) && Number.isFinite(spent)) return;
  throw new GateError('state_invalid', `no gate was ever at position ${position} with ${spent} nats spent`);
}

function refuseSampling(what: string): never {
  throw new GateError('sampling_invalid', `cannot sample with ${what}`);
}
