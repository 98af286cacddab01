/** Turns the key of a request, or of its session, into the caller: which tenant, which policy. */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Scope } from '../objects/tenant-record.ts';
import { clientAddress } from './client-address.ts';
import type { CallerEnv, Middleware } from './context.ts';
import { credentialOf, demandSameHolder } from './credential.ts';
import type { Caller, TenantDirectory } from './tenant-directory.ts';

export function authenticate(directory: TenantDirectory): Middleware<CallerEnv> {
  return async function authenticate(c, next) {
    const { digest, isNoKey, session } = await credentialOf(c);
    if (isNoKey) throw wrongKey();
    const caller = await directory.lookup(digest, {
      env: c.env,
      address: clientAddress(c.req.raw),
      waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    });
    if (caller !== null) demandSameHolder({ session }, caller.tenant);
    c.set('caller', admit(caller, { scope: 'inference', now: Date.now() }));
    await next();
  };
}

/**
 * Returns the caller if its key may do this now. Whichever copy the caller came from, this is asked
 * of the clock at each request.
 */
export function admit(found: Caller | null, { scope, now }: { scope: Scope; now: number }): Caller {
  const caller = admitAnyScope(found, { now });
  const { scopes } = caller;
  // Whoever may change something may read it.
  if (!scopes.includes(scope) && !(scope === 'read' && scopes.includes('admin'))) {
    throw new PlimsollError(
      'permission_denied',
      `This API key may not do this: it has the scope ${scopes.map((each) => `'${each}'`).join(', ')}, and '${scope}' is wanted.`,
    );
  }
  return caller;
}

/** The same, whatever the key may do. */
export function admitAnyScope(caller: Caller | null, { now }: { now: number }): Caller {
  if (caller === null) throw wrongKey();
  const { expiresAtMs, suspended } = caller;
  if (expiresAtMs !== null && expiresAtMs <= now) {
    throw new PlimsollError('expired_api_key', `This API key expired at ${new Date(expiresAtMs).toISOString()}.`);
  }
  if (suspended) {
    throw new PlimsollError('tenant_suspended', 'This tenant is suspended. Ask whoever runs this service.');
  }
  return caller;
}

export const wrongKey = () => new PlimsollError('invalid_api_key', 'Incorrect API key provided.');
