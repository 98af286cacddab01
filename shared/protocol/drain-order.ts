/**
 * The order to drain, for one backend: take nothing new, finish what you have. Or to take new
 * requests again. It is a compact JWS (HS256) in the Authorization header of `POST /drain`, under a
 * key of its own, and names the backend, so that it works at no other.
 */
import { jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { derivedKey } from './derived-key.ts';
import { DIRECTIVE_TTL_SECONDS } from './directive.ts';

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

export async function signDrainOrder(order: DrainOrder, key: Uint8Array, now: Date = new Date()): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ ...order })
    .setProtectedHeader({ alg: 'HS256', typ: TYP })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + DIRECTIVE_TTL_SECONDS)
    .sign(key);
}

/**
 * Throws `directive_invalid` unless this is a fresh order for the backend of this name, signed with
 * one of the keys.
 */
export async function verifyDrainOrder(
  token: string,
  { keys, backend, now = new Date() }: { keys: readonly Uint8Array[]; backend: string; now?: Date },
): Promise<DrainOrder> {
  const options = { algorithms: ['HS256'], typ: TYP, requiredClaims: ['exp', 'iat'], currentDate: now };
  const maxTokenAge = DIRECTIVE_TTL_SECONDS;
  const tries = keys.map((key) => jwtVerify(token, key, { ...options, maxTokenAge }));
  const { payload } = await Promise.any(tries).catch((cause: unknown) => {
    throw new PlimsollError('directive_invalid', 'The order to drain is not valid.', { cause });
  });
  const order = DrainOrder.safeParse(payload);
  if (!order.success) throw new PlimsollError('directive_invalid', 'The order to drain is malformed.');
  if (order.data.backend !== backend) {
    throw new PlimsollError('directive_invalid', `The order to drain is for ${order.data.backend}, not ${backend}.`);
  }
  return order.data;
}
