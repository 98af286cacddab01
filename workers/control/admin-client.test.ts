/**
 * What the typed client sends, and what it does not let a caller write. For the routes themselves,
 * see tenants.integration.test.ts.
 */
import { expect, expectTypeOf, test } from 'vitest';
import { adminClient } from './admin-client.ts';

const POLICY = { floor: 0.3, budget: 20 };
const KEYS = [{ id: 'main', sha256: 'a'.repeat(64) }];

function recording(body: object) {
  const sent: { method: string | undefined; url: string; authorization: string | null; body: unknown }[] = [];
  const admin = adminClient('http://edge.example', 'pk-operator', {
    fetch: async (input, init) => {
      const text = init?.body;
      sent.push({
        method: init?.method,
        url: String(input),
        authorization: new Headers(init?.headers).get('authorization'),
        body: typeof text === 'string' ? JSON.parse(text) : null,
      });
      return Response.json(body);
    },
  });
  return { admin, sent };
}

test('puts a tenant under its id, with the key and the document', async () => {
  const { admin, sent } = recording({ id: 'acme', name: 'Acme', policy_version: 'v1', changed: true });
  const json = { name: 'Acme', policy: POLICY, keys: KEYS };
  const answer = await admin.tenants[':id'].$put({ param: { id: 'acme' }, json });
  const url = 'http://edge.example/admin/v1/tenants/acme';
  expect(sent).toEqual([{ method: 'PUT', url, authorization: 'Bearer pk-operator', body: json }]);
  const result = await answer.json();
  expectTypeOf(result).toEqualTypeOf<{ id: string; name: string; policy_version: string; changed: boolean }>();
  expect(result.changed).toBe(true);
});

test.each(['../audit', '..', '.', 'a/b', 'a?b', 'a#b', 'a%2fb', '', 'Acme', 'x'.repeat(65)])(
  'sends nothing for %j, which cannot be the id of a tenant',
  async (id) => {
    const { admin, sent } = recording({});
    const json = { name: 'Acme', policy: POLICY, keys: KEYS };
    const put = admin.tenants[':id'].$put({ param: { id }, json });
    await expect(put).rejects.toMatchObject({ code: 'invalid_request', param: 'id' });
    expect(sent).toEqual([]);
  },
);

test('lists tenants and the audit log', async () => {
  const { admin, sent } = recording({ object: 'list', data: [] });
  const tenants = await (await admin.tenants.$get({ query: {} })).json();
  expectTypeOf<(typeof tenants.data)[number]['policy']['floor']>().toEqualTypeOf<number>();
  expectTypeOf<(typeof tenants.data)[number]['problem']>().toEqualTypeOf<string | null>();
  const audit = await (await admin.audit.$get({ query: {} })).json();
  expectTypeOf<(typeof audit.data)[number]['at']>().toEqualTypeOf<string>();
  expect(sent.map(({ url }) => url)).toEqual([
    'http://edge.example/admin/v1/tenants',
    'http://edge.example/admin/v1/audit',
  ]);
});

test('a wrong request does not compile', () => {
  const { admin } = recording({});
  const put = admin.tenants[':id'].$put;
  const param = { id: 'acme' };
  // Never called: `npm run check` is the test.
  void (() => [
    // @ts-expect-error a policy needs a budget
    put({ param, json: { name: 'Acme', policy: { floor: 0.3 }, keys: KEYS } }),
    // @ts-expect-error a floor is a number
    put({ param, json: { name: 'Acme', policy: { floor: '0.3', budget: 20 }, keys: KEYS } }),
    // @ts-expect-error a policy has no such field
    put({ param, json: { name: 'Acme', policy: { ...POLICY, flor: 1 }, keys: KEYS } }),
    // @ts-expect-error a key is known by its digest
    put({ param, json: { name: 'Acme', policy: POLICY, keys: [{ id: 'main', key: 'pk-acme' }] } }),
    // @ts-expect-error a tenant has an id
    put({ json: { name: 'Acme', policy: POLICY, keys: KEYS } }),
    // @ts-expect-error there is no such method
    admin.audit.$post(),
  ]);
});
