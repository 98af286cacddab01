/**
 * `POST /v1/decode` of a backend: the text of prompts that a client sends as token ids. The edge
 * reads it as it reads any prompt, so that ids are no way round its classifier. Like everything
 * there, it needs an order of the edge (signed-order.ts), bound to the body by its SHA-256.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { wellFormed } from '#shared/api/well-formed.ts';
import { derivedKey } from './derived-key.ts';
import { sha256Hex } from './sha256.ts';
import { Sha256 } from './sha256-schema.ts';
import { signOrder, verifyOrder } from './signed-order.ts';

export const DECODE_PATH = '/v1/decode';

export const DecodeRequest = z.strictObject({
  model: wellFormed.min(1),
  prompts: z.array(z.array(z.int().min(0)).min(1)).min(1),
});
export type DecodeRequest = z.infer<typeof DecodeRequest>;

export const DecodeAnswer = z.object({ model: z.string(), bundle: z.string(), texts: z.array(wellFormed) });
export type DecodeAnswer = z.infer<typeof DecodeAnswer>;

const TYP = 'plimsoll-decode+jwt';
const Order = z.object({ id: z.uuid(), request: z.string().min(1), digest: Sha256 });
type Order = z.infer<typeof Order>;

export const decodeKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-decode/1', directiveKey);

export const signDecodeOrder = (order: Order, key: Uint8Array): Promise<string> => signOrder(order, { typ: TYP, key });

/**
 * Throws `directive_invalid` unless this is a fresh order for this very body, signed with one of
 * the keys.
 */
export async function verifyDecodeOrder(
  token: string,
  { body, keys }: { keys: readonly Uint8Array[]; body: Uint8Array },
): Promise<Order> {
  const order = await verifyOrder(token, { typ: TYP, what: 'decode', schema: Order, keys });
  if (order.digest === (await sha256Hex(body))) return order;
  throw new PlimsollError('directive_invalid', 'The order to decode belongs to another request.');
}
