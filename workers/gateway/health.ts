/**
 * `GET /healthz`: whether a request would find a backend. It gives only counts: which backends
 * there are is nobody's business here.
 */

import type { AppContext } from '../request/context.ts';
import type { BackendPool } from './backend-pool.ts';
import { answers } from './pool-member.ts';
import { poolMembers } from './pool-members.ts';

export function health(pool: BackendPool) {
  return async (c: AppContext): Promise<Response> => {
    const members = await poolMembers(pool, c);
    const alive = members.filter(answers).length;
    return c.json({ status: alive > 0 ? 'ok' : 'no_backend', backends: { alive, total: members.length } });
  };
}
