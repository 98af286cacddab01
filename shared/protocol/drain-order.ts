/**
 * The order to drain, for one backend: take nothing new, finish what you have. Or to take new
 * requests again. It is a signed order (signed-order.ts) in the Authorization header of
 * `POST /drain`, under a key of its own, and names the backend, so that it works at no other.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { derivedKey } from './derived-key.ts';
import { signOrder, verifyOrder } from './signed-order.ts';

const TYP = 'plimsoll-drain+jwt';

export const DrainOrder = z.object({
  /** Each order is taken once. */
  id: z.uuid(),
  /** The name that the backend has in its `/healthz`. */
  backend: z.string().min(1),
  drain: z.boolean(),
});
export type DrainOrder = z.infer<typeof DrainOrder>;

export const drainKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-drain/1', directiveKey);

export const signDrainOrder = (order: DrainOrder, key: Uint8Array, now?: Date): Promise<string> =>
  signOrder(order, { typ: TYP, key, ...(now && { now }) });

/**
 * Throws `directive_invalid` unless this is a fresh order for the backend of this name, signed with
 * one of the keys.
 */
export async function verifyDrainOrder(
  token: string,
  { backend, ...rest }: { keys: readonly Uint8Array[]; backend: string; now?: Date },
): Promise<DrainOrder> {
  const order = await verifyOrder(token, { typ: TYP, what: 'drain', schema: DrainOrder, ...rest });
  if (order.backend !== backend) {
    throw new PlimsollError('directive_invalid', `The order to drain is for ${order.backend}, not ${backend}.`);
  }
  return order;
}
