import { hc } from 'hono/client';
import type { AdminApi } from './admin-api.ts';

/**
 * A typed client of the admin API. Paths, bodies and answers have the types of the routes
 * themselves. As with `fetch`, an error is an answer whose `ok` is false.
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
  return hc<AdminApi>(url, { headers, ...(fetch !== undefined && { fetch }) }).admin.v1;
}
