import { hc } from 'hono/client';
import { parseTenantId } from '../objects/tenant-record.ts';
import type { AdminApi } from './admin-api.ts';

/**
 * A typed client of the admin API. Paths, bodies and answers have the types of the routes
 * themselves. As with `fetch`, an error is an answer whose `ok` is false. Only an id that nothing
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
  const { tenants, plans, audit, pool } = hc<AdminApi>(url, { headers, ...(fetch !== undefined && { fetch }) }).admin
    .v1;
  const tenant = tenants[':id'];
  const { keys, policies } = tenant;
  const version = policies[':version'];
  const plan = plans[':id'];
  return {
    tenants: {
      $get: tenants.$get,
      $post: tenants.$post,
      ':id': {
        $get: checked(tenant.$get),
        $put: checked(tenant.$put),
        $patch: checked(tenant.$patch),
        $delete: checked(tenant.$delete),
        suspend: { $post: checked(tenant.suspend.$post) },
        resume: { $post: checked(tenant.resume.$post) },
        keys: {
          $get: checked(keys.$get),
          $post: checked(keys.$post),
          ':key': { $delete: checked(keys[':key'].$delete), rotate: { $post: checked(keys[':key'].rotate.$post) } },
        },
        policies: {
          $get: checked(policies.$get),
          $post: checked(policies.$post),
          ':version': {
            $get: checked(version.$get),
            diff: { $get: checked(version.diff.$get) },
            activate: { $post: checked(version.activate.$post) },
            test: { $post: checked(version.test.$post) },
            explain: { $post: checked(version.explain.$post) },
            replay: { $post: checked(version.replay.$post) },
          },
        },
        samples: { $get: checked(tenant.samples.$get), $delete: checked(tenant.samples.$delete) },
        rollback: { $post: checked(tenant.rollback.$post) },
        audit: { $get: checked(tenant.audit.$get), verify: { $get: checked(tenant.audit.verify.$get) } },
      },
    },
    plans: {
      $get: plans.$get,
      ':id': { $get: checked(plan.$get), $put: checked(plan.$put), $delete: checked(plan.$delete) },
    },
    audit,
    pool,
  };
}

export type AdminClient = ReturnType<typeof adminClient>;

/** Sends nothing if a part of the path could lead to another route. */
function checked<Args extends { param: Record<string, string> }, Options, Answer>(
  call: (args: Args, options?: Options) => Promise<Answer>,
): (args: Args, options?: Options) => Promise<Answer> {
  return async (args, options) => {
    for (const id of Object.values(args.param)) parseTenantId(id);
    return call(args, options);
  };
}
