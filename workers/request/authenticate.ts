/** Turns `Authorization: Bearer <key>` into the caller: which tenant, under which policy. */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { CallerEnv, Middleware } from './context.ts';
import type { TenantDirectory } from './tenant-directory.ts';

export function authenticate(directory: TenantDirectory): Middleware<CallerEnv> {
  return async function authenticate(c, next) {
    const caller = await directory.lookup(await sha256Hex(bearerToken(c.req.header('authorization'))), {
      env: c.env,
      waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    });
    if (caller === null) throw new PlimsollError('invalid_api_key', 'Incorrect API key provided.');
    c.set('caller', caller);
    await next();
  };
}

export function bearerToken(authorization: string | undefined): string {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    throw new PlimsollError(
      'invalid_api_key',
      "You didn't provide an API key. Send it in the Authorization header, as in 'Authorization: Bearer YOUR_KEY'.",
    );
  }
  return token;
}
