/**
 * `POST /pool/v1/heartbeat`: a backend says that it is there, and what it serves. The signed
 * heartbeat is in the Authorization header, so there is no body to read. The answer says whether
 * the operator has drained the backend.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { type HeartbeatReply, verifyAnyHeartbeat } from '#shared/protocol/heartbeat.ts';
import { poolDirectory } from '../objects/pool-contract.ts';
import { type Hearing, MOST_HELPFUL } from '../objects/pool-membership.ts';
import { bearerToken } from '../request/bearer-token.ts';
import type { AppContext } from '../request/context.ts';

const WHY: Record<Exclude<Hearing, 'taken'>, string> = {
  taken_by_others: 'This URL is that of a backend outside the helpfulness pool.',
  full: `The helpfulness pool has ${MOST_HELPFUL} backends already. A silent one is forgotten after a day.`,
  replayed: 'This heartbeat, or a later one, was heard before.',
  superseded: 'Another process, started later, has registered this URL. Each backend needs a URL of its own.',
  left: 'This process has said goodbye.',
};

export function hearHeartbeat() {
  return async (c: AppContext): Promise<Response> => {
    const { registration, directiveKey, backends } = c.var.config;
    if (!registration) {
      throw new PlimsollError('permission_denied', 'Backends cannot register here: POOL_REGISTRATION is not "on".');
    }
    const token = bearerToken(c.req.header('authorization'));
    const heartbeat = await verifyAnyHeartbeat(token, directiveKey);
    const { url, pool } = heartbeat.report;
    if (pool !== undefined && backends.includes(url)) throw new PlimsollError('heartbeat_invalid', WHY.taken_by_others);
    const { hearing, drain } = await poolDirectory(c.env)
      .heard(heartbeat)
      .catch((cause: unknown) => {
        throw new PlimsollError('backend_unavailable', 'The pool directory cannot be reached.', { cause });
      });
    if (hearing !== 'taken') throw new PlimsollError('heartbeat_invalid', WHY[hearing]);
    return c.json({ drain } satisfies HeartbeatReply);
  };
}
