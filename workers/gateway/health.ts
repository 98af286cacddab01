/**
 * `GET /healthz`: whether a request would find a backend. It gives only counts: which backends
 * there are is nobody's business here. `GET /health` is the same as vLLM has it, for its clients
 * and probes: a status and no body. `GET /version`, also vLLM's, says which Plimsoll this is.
 */
import manifest from '../../package.json' with { type: 'json' };
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

export function bareHealth(pool: BackendPool) {
  return async (c: AppContext): Promise<Response> => {
    const members = await poolMembers(pool, c);
    return new Response(null, { status: members.some(answers) ? 200 : 503 });
  };
}

export function version(c: AppContext): Response {
  return c.json({ version: manifest.version });
}
