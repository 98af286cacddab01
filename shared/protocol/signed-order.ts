/**
 * Orders of the edge to a backend, beside directives: a compact JWS (HS256) in the Authorization
 * header, with a type and a key of its own for each kind, valid for seconds. Each has an id, so
 * that it is taken once.
 */
import { jwtVerify, SignJWT } from 'jose';
import type * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { DIRECTIVE_TTL_SECONDS } from './directive.ts';

export async function signOrder(
  order: object,
  { typ, key, now = new Date() }: { typ: string; key: Uint8Array; now?: Date },
): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ ...order })
    .setProtectedHeader({ alg: 'HS256', typ })
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + DIRECTIVE_TTL_SECONDS)
    .sign(key);
}

/**
 * Returns what a fresh order of this type says. Throws `directive_invalid` unless one of the keys
 * has signed it and it is of the schema's form. What it is for, the caller has to compare.
 *
 * @param what it orders, for people: 'drain'
 */
export async function verifyOrder<Order>(
  token: string,
  {
    typ,
    what,
    schema,
    keys,
    now = new Date(),
  }: { typ: string; what: string; schema: z.ZodType<Order>; keys: readonly Uint8Array[]; now?: Date },
): Promise<Order> {
  const options = { algorithms: ['HS256'], typ, requiredClaims: ['exp', 'iat'], currentDate: now };
  const tries = keys.map((key) => jwtVerify(token, key, { ...options, maxTokenAge: DIRECTIVE_TTL_SECONDS }));
  const { payload } = await Promise.any(tries).catch((cause: unknown) => {
    throw new PlimsollError('directive_invalid', `The order to ${what} is not valid.`, { cause });
  });
  const order = schema.safeParse(payload);
  if (!order.success) throw new PlimsollError('directive_invalid', `The order to ${what} is malformed.`);
  return order.data;
}
