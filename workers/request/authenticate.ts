/** Turns `Authorization: Bearer <key>` into the caller: which tenant, under which policy. */
import { PlimsollError } from '#shared/api/errors.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Scope } from '../objects/tenant-record.ts';
import { clientAddress } from './client-address.ts';
import type { CallerEnv, Middleware } from './context.ts';
import { isNoKey } from './key-form.ts';
import type { Caller, TenantDirectory } from './tenant-directory.ts';

export function authenticate(directory: TenantDirectory): Middleware<CallerEnv> {
  return async function authenticate(c, next) {
    const key = bearerToken(c.req.header('authorization'));
    if (await isNoKey(key)) throw wrongKey();
    const caller = await directory.lookup(await sha256Hex(key), {
      env: c.env,
      address: clientAddress(c.req.raw),
      waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    });
    c.set('caller', admit(caller, { scope: 'inference', now: Date.now() }));
    await next();
  };
}

/**
 * Returns the caller if its key may do this now. Whichever copy the caller came from, this is asked
 * of the clock at each request.
 */
export function admit(caller: Caller | null, { scope, now }: { scope: Scope; now: number }): Caller {
  if (caller === null) throw wrongKey();
  const { expiresAtMs, suspended, scopes } = caller;
  if (expiresAtMs !== null && expiresAtMs <= now) {
    throw new PlimsollError('expired_api_key', `This API key expired at ${new Date(expiresAtMs).toISOString()}.`);
  }
  if (suspended) {
    throw new PlimsollError('tenant_suspended', 'This tenant is suspended. Ask whoever runs this service.');
  }
  // Whoever may change something may read it.
  if (!scopes.includes(scope) && !(scope === 'read' && scopes.includes('admin'))) {
    throw new PlimsollError(
      'permission_denied',
      `This API key may not do this: it has the scope ${scopes.map((each) => `'${each}'`).join(', ')}, and '${scope}' is wanted.`,
    );
  }
  return caller;
}

export const wrongKey = () => new PlimsollError('invalid_api_key', 'Incorrect API key provided.');

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
