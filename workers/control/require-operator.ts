/** Lets only the operator's key through. Digests are compared in constant time. */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { bearerToken } from '../request/authenticate.ts';
import type { Middleware, OperatorEnv } from '../request/context.ts';

/** The cast: only workerd has this method, so the types of other runtimes lack it. */
const subtle = crypto.subtle as typeof crypto.subtle & { timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean };

export function requireOperator(): Middleware<OperatorEnv> {
  return async function requireOperator(c, next) {
    const encoder = new TextEncoder();
    const given = encoder.encode(await sha256Hex(bearerToken(c.req.header('authorization'))));
    const wanted = encoder.encode(c.var.config.operatorKeySha256);
    if (!subtle.timingSafeEqual(given, wanted)) {
      throw new PlimsollError('invalid_api_key', 'This route needs the operator key.');
    }
    c.set('operator', 'operator');
    await next();
  };
}
