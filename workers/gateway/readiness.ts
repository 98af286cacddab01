/**
 * `GET /livez` and `GET /readyz`, for whatever sends traffic here. The first says that the Worker
 * runs and has its settings. The second says whether a request could be answered: a backend is
 * alive, and the tenant store can be reached. Both give counts and words only, to anyone.
 */
import type { AppContext } from '../request/context.ts';
import type { TenantDirectory } from '../request/tenant-directory.ts';
import type { BackendPool } from './backend-pool.ts';
import { answers } from './pool-member.ts';
import { poolMembers } from './pool-members.ts';

/** No key has this digest. An isolate remembers that for seconds, so asking costs nothing. */
const NOBODY = '0'.repeat(64);

export function live(c: AppContext): Response {
  return c.json({ status: 'ok' });
}

export function ready(pool: BackendPool, directory: Pick<TenantDirectory, 'lookup'>) {
  return async (c: AppContext): Promise<Response> => {
    const waitUntil = (promise: Promise<unknown>) => c.executionCtx.waitUntil(promise);
    const [members, tenants] = await Promise.all([
      poolMembers(pool, c),
      directory.lookup(NOBODY, { env: c.env, address: null, waitUntil }).then(
        () => 'ok' as const,
        () => 'unreachable' as const,
      ),
    ]);
    const alive = members.filter(answers).length;
    const isReady = alive > 0 && tenants === 'ok';
    return c.json(
      { status: isReady ? 'ready' : 'not_ready', backends: { alive, total: members.length }, tenants },
      isReady ? 200 : 503,
    );
  };
}
