/**
 * An order of the edge for one body of a request to a backend: signed (signed-order.ts), bound to
 * the body by its SHA-256, and taken once. Each kind of work has a type and a key of its own.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from './sha256.ts';
import { Sha256 } from './sha256-schema.ts';
import { signOrder, verifyOrder } from './signed-order.ts';

export const BodyOrder = z.object({
  /** Each order is taken once. */
  id: z.uuid(),
  request: z.string().min(1),
  tenant: z.string().min(1),
  /** SHA-256 of the body. */
  digest: Sha256,
});
export type BodyOrder = z.infer<typeof BodyOrder>;

/** A kind of work. */
export type OrderKind = {
  /** The type in the header of its orders. */
  typ: string;
  /** What it orders, for people: 'score'. */
  what: string;
};

export const signBodyOrder = (
  order: BodyOrder,
  { typ, key, now }: Pick<OrderKind, 'typ'> & { key: Uint8Array; now?: Date | undefined },
): Promise<string> => signOrder(order, { typ, key, ...(now && { now }) });

/**
 * Throws `directive_invalid` unless this is a fresh order for this very body, signed with one of
 * the keys.
 */
export async function verifyBodyOrder(
  token: string,
  { body, what, ...rest }: OrderKind & { keys: readonly Uint8Array[]; body: Uint8Array; now?: Date },
): Promise<BodyOrder> {
  const order = await verifyOrder(token, { what, schema: BodyOrder, ...rest });
  if (order.digest !== (await sha256Hex(body))) {
    throw new PlimsollError('directive_invalid', `The order to ${what} belongs to another request.`);
  }
  return order;
}
