import { hc } from 'hono/client';
import { parseTenantId } from '../objects/tenant-record.ts';
import type { AdminApi } from './admin-api.ts';

/**
 * A typed client of the admin API. Paths, bodies and answers have the types of the routes
 * themselves. As with `fetch`, an error is an answer whose `ok` is false. Only an id that no tenant
 * can have is refused before anything is sent: Hono would put it into the URL as it is, and
 * `../audit` would lead to another route.
 *
 *     const admin = adminClient('http://127.0.0.1:8787', operatorKey);
 *     const answer = await admin.tenants[':id'].$put({
 *       param: { id: 'acme' },
 *       json: { name: 'Acme', policy: { floor: 0.5, budget: 10 }, keys: [] },
 *     });
 *     if (answer.ok) console.log((await answer.json()).policy_version);
 */
export function adminClient(url: string, operatorKey: string, { fetch }: { fetch?: typeof globalThis.fetch } = {}) {
  const headers = { authorization: `Bearer ${operatorKey}` };
  const { tenants, audit } = hc<AdminApi>(url, { headers, ...(fetch !== undefined && { fetch }) }).admin.v1;
  const tenant = tenants[':id'];
  const $put: typeof tenant.$put = async (args, options) => {
    return tenant.$put({ ...args, param: { id: parseTenantId(args.param.id) } }, options);
  };
  return { tenants: { $get: tenants.$get, ':id': { $put } }, audit };
}
