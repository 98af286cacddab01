/** Keys: shown once, with scopes and an end; and tenants that are suspended or deleted. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  storageOf,
} from '../testing/edge-under-test.ts';
import { adminClient } from './admin-client.ts';
import { MOST_CALLS } from './require-access.ts';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(() => under.dispose());

const any = { headers: { 'if-match': '*' } };
async function make(id: string): Promise<void> {
  const answer = await admin.tenants.$post({ json: { id, name: id, policy: { floor: 0.5, budget: null } } });
  expect([answer.status, answer.headers.get('etag')]).toEqual([201, '"1"']);
}
type KeyJson = Parameters<(typeof admin)['tenants'][':id']['keys']['$post']>[0]['json'];
async function newKey(id: string, json: KeyJson = {}) {
  const answer = await admin.tenants[':id'].keys.$post({ param: { id }, json });
  expect(answer.status).toBe(201);
  return answer.json();
}
const inFuture = (ms: number) => new Date(Date.now() + ms).toISOString();

/** What a request with this key gets: its status, and the code of its error. */
async function outcome(key: string, route = '/v1/models'): Promise<[number, string | null]> {
  const answer = await fetch(`${under.edge.url}${route}`, { headers: { authorization: `Bearer ${key}` } });
  return [answer.status, answer.ok ? null : ((await answer.json()) as ErrorBody).error.code];
}
const OK = [200, null];

describe('a key', () => {
  test('is made by the server, shown once, and stored as its digest only', async () => {
    await make('shown');
    const made = await newKey('shown', { id: 'web' });
    expect(made).toMatchObject({ id: 'web', scopes: ['inference'], expires_at: null, sha256: sha256(made.key) });
    expect(made.key).toMatch(/^pk-[0-9a-f]{64}-[0-9a-f]{8}$/);
    expect(await outcome(made.key)).toEqual(OK);
    const listed = await (await admin.tenants[':id'].keys.$get({ param: { id: 'shown' } })).json();
    expect(listed.data).toMatchObject([{ id: 'web', sha256: made.sha256 }]);
    const storage = await storageOf(under, 'shown');
    const stored = await Promise.all(
      ['tenant', 'keys', 'audit', 'policies'].map((table) => storage.exec(`SELECT * FROM ${table}`)),
    );
    const everywhere = JSON.stringify([listed, stored, under.log]);
    expect(everywhere).not.toContain(made.key);
    const kv = await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
    for (const { name } of (await kv.list()).keys) expect(await kv.get(name)).not.toContain(made.key);
  });

  test('of the same id is refused, and a tenant has a largest number of keys', async () => {
    await make('many');
    await newKey('many', { id: 'web' });
    const again = await admin.tenants[':id'].keys.$post({ param: { id: 'many' }, json: { id: 'web' } });
    expect([again.status, await again.json()]).toMatchObject([409, { error: { code: 'conflict', param: 'id' } }]);
  });

  test('that has expired is refused, even from the copy that an isolate holds', async () => {
    await make('expiring');
    const { key } = await newKey('expiring', { expires_at: inFuture(1_500) });
    expect(await outcome(key)).toEqual(OK);
    await expect.poll(() => outcome(key)).toEqual([401, 'expired_api_key']);
    const past = await admin.tenants[':id'].keys.$post({
      param: { id: 'expiring' },
      json: { expires_at: '2020-01-01T00:00:00.000Z' },
    });
    expect([past.status, await past.json()]).toMatchObject([400, { error: { param: 'expires_at' } }]);
  });

  test('is replaced with an overlap in which both work', async () => {
    await make('rotating');
    const old = await newKey('rotating', { id: 'old', scopes: ['inference', 'read'] });
    const rotate = (json: { id?: string; overlap_seconds: number }, key: string) =>
      admin.tenants[':id'].keys[':key'].rotate.$post({ param: { id: 'rotating', key }, json });
    const rotated = await (await rotate({ id: 'new', overlap_seconds: 60 }, 'old')).json();
    expect(rotated).toMatchObject({
      key: { id: 'new', scopes: ['inference', 'read'], replaces: 'old', expires_at: null },
      replaced: { id: 'old', expires_at: expect.any(String) },
    });
    expect(await Promise.all([outcome(old.key), outcome(rotated.key.key)])).toEqual([OK, OK]);
    const once = await (await rotate({ id: 'newest', overlap_seconds: 0 }, 'new')).json();
    expect(await outcome(rotated.key.key)).toEqual([401, 'expired_api_key']);
    expect(await outcome(once.key.key)).toEqual(OK);
    expect((await rotate({ overlap_seconds: 1 }, 'absent')).status).toBe(404);
  });

  test('that is revoked is refused at once in the isolate that did it, and its id is free again', async () => {
    await make('revoking');
    const { key } = await newKey('revoking', { id: 'web' });
    expect(await outcome(key)).toEqual(OK);
    const revoke = () => admin.tenants[':id'].keys[':key'].$delete({ param: { id: 'revoking', key: 'web' } });
    expect((await revoke()).status).toBe(200);
    expect(await outcome(key)).toEqual([401, 'invalid_api_key']);
    expect((await revoke()).status).toBe(404);
    expect(await outcome((await newKey('revoking', { id: 'web' })).key)).toEqual(OK);
  });

  test('may have a policy of its own, which only tightens', async () => {
    await make('tightened');
    const { key } = await newKey('tightened', { policy: { floor: 0.9, budget: 3 } });
    const loose = await newKey('tightened', { policy: { floor: 0.1, budget: null } });
    const line = async (with_: string) => {
      const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), with_);
      return ((await answer.json()) as { plimsoll: { floor: number; budget: number | null } }).plimsoll;
    };
    expect(await line(key)).toMatchObject({ floor: 0.9, budget: 3 });
    expect(await line(loose.key)).toMatchObject({ floor: 0.5, budget: null });
  });
});

describe('a policy’s own tests', () => {
  const harmless = [{ prompt: 'Hi', expect: { action: 'mix' as const, floor_at_least: 0.5 } }];
  const failing = [{ prompt: 'Hi', expect: { action: 'refuse' as const } }];

  test('have to pass before a plan holds, and then nothing has changed', async () => {
    const put = (tests: typeof harmless | typeof failing, floor = 0.5) =>
      admin.plans[':id'].$put({ param: { id: 'tested' }, json: { name: 'T', policy: { floor, tests } } }, any);
    const refused = await put(failing);
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_value', param: 'policy.tests', message: expect.stringContaining("'Hi'") } },
    ]);
    expect((await admin.plans[':id'].$get({ param: { id: 'tested' } })).status).toBe(404);
    expect((await put(harmless)).status).toBe(200);
    expect((await put(harmless, 0)).status).toBe(400);
    const kept = await (await admin.plans[':id'].$get({ param: { id: 'tested' } })).json();
    expect(kept).toMatchObject({ policy: { floor: 0.5 } });
  });

  test('have to pass before a key opens anything, under the policies of its plan and its tenant', async () => {
    await admin.plans[':id'].$put({ param: { id: 'short' }, json: { name: 'S', policy: { budget: 4 } } }, any);
    await make('tested');
    await admin.tenants[':id'].$patch({ param: { id: 'tested' }, json: { plan: 'short' } }, any);
    const post = (tests: object[]) =>
      // The cast: so that one function can send what the schema takes and what fails.
      admin.tenants[':id'].keys.$post({ param: { id: 'tested' }, json: { policy: { tests } } as KeyJson });
    const refused = await post(failing);
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_value', param: 'policy.tests' } },
    ]);
    // The key's own policy restricts nothing, so what passes is what the levels above it give.
    expect((await post([{ prompt: 'Hi', expect: { floor_at_least: 0.5, budget_at_most: 4 } }])).status).toBe(201);
    expect((await post([{ prompt: 'Hi', expect: { floor_at_least: 0.6 } }])).status).toBe(400);
    const { keys } = await (await admin.tenants[':id'].$get({ param: { id: 'tested' } })).json();
    expect(keys).toHaveLength(1);
  });

  test('of the keys in a whole tenant have to pass too, and the error says of which key', async () => {
    const put = (tests: typeof harmless | typeof failing) =>
      admin.tenants[':id'].$put({
        param: { id: 'whole' },
        json: {
          name: 'Whole',
          policy: { floor: 0.5, budget: null },
          keys: [
            { id: 'plain', sha256: sha256('pk-plain-of-whole') },
            { id: 'tested', sha256: sha256('pk-tested-of-whole'), policy: { tests } },
          ],
        },
      });
    const refused = await put(failing);
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_value', param: 'keys[1].policy.tests' } },
    ]);
    expect((await put(harmless)).status).toBe(200);
  });
});

describe('scopes', () => {
  test('say which part of the API a key opens, and only for its own tenant', async () => {
    await Promise.all([make('scoped'), make('stranger')]);
    const keys = {
      inference: (await newKey('scoped')).key,
      read: (await newKey('scoped', { scopes: ['read'] })).key,
      admin: (await newKey('scoped', { scopes: ['admin'] })).key,
      owner: (await newKey('scoped', { scopes: ['admin', 'inference'], policy: { floor: 0.8 } })).key,
    };
    const own = '/admin/v1/tenants/scoped';
    expect(await outcome(keys.inference)).toEqual(OK);
    expect(await outcome(keys.inference, own)).toEqual([403, 'permission_denied']);
    expect(await outcome(keys.read)).toEqual([403, 'permission_denied']);
    expect(await outcome(keys.read, own)).toEqual(OK);
    expect(await outcome(keys.admin, `${own}/keys`)).toEqual(OK);
    expect(await outcome(keys.admin, `${own}/audit`)).toEqual(OK);
    for (const key of [keys.read, keys.admin]) {
      // One that is there and one that is not look the same.
      expect(await outcome(key, '/admin/v1/tenants/stranger')).toEqual([404, 'not_found']);
      expect(await outcome(key, '/admin/v1/tenants/nobody')).toEqual([404, 'not_found']);
      for (const route of ['/admin/v1/tenants', '/admin/v1/plans', '/admin/v1/audit', '/admin/v1/audit/verify']) {
        expect(await outcome(key, route)).toEqual([401, 'invalid_api_key']);
      }
    }
    const asTenant = (key: string) => adminClient(under.edge.url, key).tenants[':id'];
    const param = { id: 'scoped' };
    expect((await asTenant(keys.read).keys.$post({ param, json: {} })).status).toBe(403);
    // A key opens no more than the one that made it, and under no looser policy.
    expect((await asTenant(keys.admin).keys.$post({ param, json: { id: 'own' } })).status).toBe(403);
    for (const policy of [{ floor: 0.6, budget: 3 }, null]) {
      const made = await (await asTenant(keys.owner).keys.$post({ param, json: { policy } })).json();
      const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), made.key);
      const { plimsoll } = (await answer.json()) as { plimsoll: { floor: number; budget: number | null } };
      expect(plimsoll).toMatchObject({ floor: 0.8, budget: policy?.budget ?? null });
    }
    expect((await asTenant(keys.admin).$patch({ param, json: { plan: null } }, any)).status).toBe(401);
    expect((await asTenant(keys.admin).$delete({ param, query: { data: 'keep' } }, any)).status).toBe(401);
    const audit = await (await asTenant(keys.admin).audit.$get({ param, query: {} })).json();
    expect(audit.data[0]).toMatchObject({ actor: expect.stringMatching(/^key:key-/), action: 'key-create' });
  });
});

test('the keys of a tenant call the admin API only so often, and another tenant and the operator do not notice', async () => {
  await Promise.all([make('busy'), make('quiet')]);
  const [busy, other, quiet] = await Promise.all(
    ['busy', 'busy', 'quiet'].map(async (id) => (await newKey(id, { scopes: ['read'] })).key),
  );
  for (let called = 0; called < MOST_CALLS; called += 20) {
    const calls = Array.from({ length: 20 }, () => outcome(busy!, '/admin/v1/tenants/busy/keys'));
    expect(new Set((await Promise.all(calls)).map(String))).toEqual(new Set([String(OK)]));
  }
  for (const key of [busy!, other!]) {
    expect(await outcome(key, '/admin/v1/tenants/busy/keys')).toEqual([429, 'rate_limit_exceeded']);
  }
  expect(await outcome(quiet!, '/admin/v1/tenants/quiet/keys')).toEqual(OK);
  expect(await outcome(OPERATOR_KEY, '/admin/v1/tenants/busy/keys')).toEqual(OK);
});

test('calls that are refused count too, and no flood keeps the owner from revoking the key, rolling back or erasing prompts', async () => {
  await make('flooded');
  const [leaked, owner] = await Promise.all([
    newKey('flooded', { id: 'leaked' }),
    newKey('flooded', { scopes: ['admin', 'prompts'] }),
  ]);
  const flood = () => outcome(leaked.key, '/admin/v1/tenants/flooded/keys');
  for (let called = 0; called < MOST_CALLS; called += 20) {
    const calls = await Promise.all(Array.from({ length: 20 }, flood));
    expect(new Set(calls.map(String))).toEqual(new Set(['403,permission_denied']));
  }
  expect(await flood()).toEqual([429, 'rate_limit_exceeded']);
  expect(await outcome(owner.key, '/admin/v1/tenants/flooded/keys')).toEqual([429, 'rate_limit_exceeded']);
  const asOwner = adminClient(under.edge.url, owner.key).tenants[':id'];
  const back = await asOwner.rollback.$post({ param: { id: 'flooded' } }, any);
  expect([back.status, await back.json()]).toMatchObject([
    409,
    { error: { message: expect.stringMatching('No version') } },
  ]);
  expect((await asOwner.samples.$delete({ param: { id: 'flooded' } })).status).toBe(200);
  const revoked = await asOwner.keys[':key'].$delete({ param: { id: 'flooded', key: 'leaked' } });
  expect(revoked.status).toBe(200);
});

test.each([
  ['revoked', 'invalid_api_key'],
  ['over', 'expired_api_key'],
])('a key that is %s uses up none of the calls that its tenant has', async (how, code) => {
  const id = `left-${how}`;
  await make(id);
  const former = await newKey(id, { id: 'former', scopes: ['read'] });
  const present = await newKey(id, { scopes: ['read'] });
  const call = (key: string) => outcome(key, `/admin/v1/tenants/${id}/keys`);
  expect(await call(former.key)).toEqual(OK);
  const param = { id, key: 'former' };
  if (how === 'revoked') await admin.tenants[':id'].keys[':key'].$delete({ param });
  else await admin.tenants[':id'].keys[':key'].rotate.$post({ param, json: { overlap_seconds: 0 } });
  // It has called once, so this is up to its own bound.
  for (let called = 1; called < MOST_CALLS; called += 13) {
    const flood = await Promise.all(Array.from({ length: 13 }, () => call(former.key)));
    expect(new Set(flood.map(String))).toEqual(new Set([`401,${code}`]));
  }
  expect(await call(present.key)).toEqual(OK);
  expect(await call(former.key)).toEqual([429, 'rate_limit_exceeded']);
  expect(await call(present.key)).toEqual(OK);
});

describe('a tenant', () => {
  test('that is suspended is refused with every key, and comes back as it was', async () => {
    await make('suspended');
    const { key } = await newKey('suspended');
    const owner = (await newKey('suspended', { scopes: ['admin'] })).key;
    expect(await outcome(key)).toEqual(OK);
    const param = { id: 'suspended' };
    const suspended = await admin.tenants[':id'].suspend.$post({ param, json: { reason: 'unpaid' } });
    expect(await suspended.json()).toMatchObject({ state: 'suspended', suspended: { reason: 'unpaid' } });
    expect(await outcome(key)).toEqual([403, 'tenant_suspended']);
    expect(await outcome(owner, '/admin/v1/tenants/suspended/keys')).toEqual([403, 'tenant_suspended']);
    await admin.tenants[':id'].resume.$post({ param });
    expect(await outcome(key)).toEqual(OK);
  });

  test('is deleted only if it is said what becomes of its data', async () => {
    await make('going');
    const { key } = await newKey('going');
    const remove = (query: { data: 'keep' | 'erase' }, options = any) =>
      admin.tenants[':id'].$delete({ param: { id: 'going' }, query }, options);
    const url = `${under.edge.url}/admin/v1/tenants/going`;
    const headers = { authorization: `Bearer ${OPERATOR_KEY}`, 'if-match': '*' };
    const unsaid = await fetch(url, { method: 'DELETE', headers });
    expect([unsaid.status, await unsaid.json()]).toMatchObject([400, { error: { param: 'data' } }]);
    expect((await remove({ data: 'keep' }, { headers: {} as { 'if-match': string } })).status).toBe(428);
    expect((await remove({ data: 'keep' })).status).toBe(200);
    expect(await outcome(key)).toEqual([401, 'invalid_api_key']);
    const kept = await (await admin.tenants[':id'].$get({ param: { id: 'going' } })).json();
    expect(kept).toMatchObject({ state: 'deleted', keys: [], policy: { floor: 0.5 } });
    const again = await admin.tenants.$post({ json: { id: 'going', name: 'x', policy: { floor: 0, budget: null } } });
    expect(again.status).toBe(409);

    expect((await remove({ data: 'erase' })).status).toBe(200);
    expect((await admin.tenants[':id'].$get({ param: { id: 'going' } })).status).toBe(404);
    const storage = await storageOf(under, 'going');
    for (const table of ['tenant', 'keys', 'policies', 'audit', 'activations']) {
      expect(await storage.exec(`SELECT * FROM ${table}`), table).toEqual([]);
    }
    const put = { name: 'x', policy: { floor: 0, budget: null }, keys: [] };
    expect((await admin.tenants[':id'].$put({ param: { id: 'going' }, json: put })).status).toBe(409);
    const log = await (await admin.audit.$get({ query: {} })).json();
    expect(log.data.filter(({ tenant }) => tenant === 'going').map(({ action }) => action)).toEqual([
      'tenant-erase',
      'tenant-delete',
      'key-create',
      'tenant-put',
    ]);
    expect(await (await admin.audit.verify.$get({ query: {} })).json()).toMatchObject({ valid: true });
  });

  test('that is deleted opens nothing, though a row of a key were left', async () => {
    await make('haunted');
    const { key } = await newKey('haunted');
    expect(await outcome(key)).toEqual(OK);
    const storage = await storageOf(under, 'haunted');
    await storage.exec("UPDATE tenant SET deleted_at = '2026-11-29T00:00:00.000Z'");
    const kv = await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
    await kv.delete(`key:${sha256(key)}`);
    await expect.poll(() => outcome(key)).toEqual([401, 'invalid_api_key']);
  });

  test('is listed in pages', async () => {
    const ids: string[] = [];
    let after = '';
    for (;;) {
      const page = await (await admin.tenants.$get({ query: { limit: '3', after } })).json();
      ids.push(...page.data.map(({ id }) => id));
      if (!page.has_more) break;
      after = page.last_id ?? '';
    }
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids).toEqual((await (await admin.tenants.$get({ query: {} })).json()).data.map(({ id }) => id));
  });
});
