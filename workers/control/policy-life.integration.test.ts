/** The life of a policy over the admin API: draft, canary, active, back; who overwrites whom. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { OPERATIONS } from '../openapi/document.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  storageOf,
} from '../testing/edge-under-test.ts';
import { adminClient } from './admin-client.ts';

let under: EdgeUnderTest;
let admin: ReturnType<typeof adminClient>;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
});
afterAll(() => under.dispose());

const policy = (floor: number) => ({ floor, budget: null });
const ifMatch = (revision: number) => ({ headers: { 'if-match': `"${revision}"` } });

/** Makes a tenant with the key `pk-ID`, under a policy with this floor. */
async function make(id: string, floor: number): Promise<void> {
  const json = { name: id, policy: policy(floor), keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] };
  expect((await admin.tenants[':id'].$put({ param: { id }, json })).status).toBe(200);
}
const tenant = (id: string) => admin.tenants[':id'].$get({ param: { id } }).then((answer) => answer.json());
async function draft(id: string, floor: number): Promise<string> {
  const json = { policy: policy(floor) };
  const answer = await admin.tenants[':id'].policies.$post({ param: { id }, json });
  expect(answer.status).toBe(201);
  return (await answer.json()).version;
}
const activate = (id: string, version: string, options?: { headers: Record<string, string> }, share = 1) =>
  admin.tenants[':id'].policies[':version'].activate.$post({ param: { id, version }, json: { share } }, options);
const floorFor = async (id: string, prompt = 'Hi') => {
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt), `pk-${id}`);
  return ((await answer.json()) as { plimsoll: AnswerExtension }).plimsoll.floor;
};

test('a draft decides nothing until it is active, and a rollback brings the old version back', async () => {
  await make('life', 0.2);
  const first = (await tenant('life')).policy_version;
  const second = await draft('life', 0.6);
  const third = await draft('life', 0.8);
  expect(await floorFor('life')).toBe(0.2);
  const { revision } = await tenant('life');
  const activated = await activate('life', second, ifMatch(revision));
  expect([activated.status, activated.headers.get('etag')]).toEqual([200, `"${revision + 1}"`]);
  expect(await floorFor('life')).toBe(0.6);
  await activate('life', third, ifMatch(revision + 1));
  expect(await floorFor('life')).toBe(0.8);

  const rollback = () =>
    admin.tenants[':id'].rollback.$post({ param: { id: 'life' } }, { headers: { 'if-match': '*' } });
  expect(await (await rollback()).json()).toMatchObject({ policy_version: second });
  expect(await floorFor('life')).toBe(0.6);
  expect(await (await rollback()).json()).toMatchObject({ policy_version: first });
  expect((await rollback()).status).toBe(409);

  const history = await (await admin.tenants[':id'].policies.$get({ param: { id: 'life' } })).json();
  expect(history).toMatchObject({ active: first, canary: null });
  expect(history.activations.map(({ version }) => version)).toEqual([first, second, third, second, first]);
  expect(history.versions.map(({ version }) => version).sort()).toEqual([first, second, third].sort());
});

test('a canary decides about its share of the prompts, always the same ones, and a rollback ends it', async () => {
  await make('canary', 0.2);
  const version = await draft('canary', 0.7);
  const { revision, policy_version } = await tenant('canary');
  const started = await activate('canary', version, ifMatch(revision), 0.5);
  expect(await started.json()).toMatchObject({ policy_version, canary: { version, share: 0.5 } });
  const prompts = Array.from({ length: 24 }, (_, index) => `Question ${index}`);
  const floors = async () => {
    const found: number[] = [];
    for (const prompt of prompts) found.push(await floorFor('canary', prompt));
    return found;
  };
  const once = await floors();
  expect(new Set(once)).toEqual(new Set([0.2, 0.7]));
  expect(await floors()).toEqual(once);
  await admin.tenants[':id'].rollback.$post({ param: { id: 'canary' } }, { headers: { 'if-match': '*' } });
  expect(new Set(await floors())).toEqual(new Set([0.2]));
});

test('what changes nothing writes no copies anew, unless the operator asks for it', async () => {
  await make('same', 0.2);
  const { policy_version } = await tenant('same');
  const made = await admin.tenants[':id'].keys.$post({ param: { id: 'same' }, json: { scopes: ['admin'] } });
  const own = adminClient(under.edge.url, (await made.json()).key).tenants[':id'].policies[':version'];
  const kv = await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
  const name = `key:${sha256('pk-same')}`;
  const param = { id: 'same', version: policy_version };
  const copyAfter = async (answer: Promise<{ status: number }>) => {
    expect((await answer).status).toBe(200);
    return (await kv.get(name)) !== null;
  };
  await kv.delete(name);
  const options = { headers: { 'if-match': '*' } };
  expect(await copyAfter(own.activate.$post({ param, json: { share: 1 } }, options))).toBe(false);
  expect(await copyAfter(activate('same', policy_version, options))).toBe(true);
});

test('two versions are compared field by field, and each change says whether it tightens', async () => {
  await make('compared', 0.2);
  const version = await draft('compared', 0.6);
  const active = (await tenant('compared')).policy_version;
  const diff = async (query: { from?: string }, to = version) => {
    const param = { id: 'compared', version: to };
    return (await admin.tenants[':id'].policies[':version'].diff.$get({ param, query })).json();
  };
  const changes = [{ path: 'floor', from: 0.2, to: 0.6, effect: 'tighter' }];
  expect(await diff({})).toEqual({ from: active, to: version, changes });
  const back = await diff({ from: version }, active);
  expect(back.changes).toEqual([{ path: 'floor', from: 0.6, to: 0.2, effect: 'looser' }]);
});

test('whoever has not seen the latest revision overwrites nothing, and is told what is there', async () => {
  await make('contested', 0.2);
  const version = await draft('contested', 0.4);
  const before = await tenant('contested');
  const missing = await activate('contested', version);
  expect([missing.status, missing.headers.get('etag')]).toEqual([428, `"${before.revision}"`]);
  expect(await missing.json()).toMatchObject({
    error: { code: 'precondition_required' },
    current: { revision: before.revision, policy_version: before.policy_version },
  });
  expect((await activate('contested', version, ifMatch(before.revision))).status).toBe(200);
  const stale = await activate('contested', before.policy_version, ifMatch(before.revision));
  expect([stale.status, stale.headers.get('etag')]).toEqual([412, `"${before.revision + 1}"`]);
  expect(await stale.json()).toMatchObject({
    error: { code: 'precondition_failed', message: expect.stringContaining(`revision ${before.revision}`) },
    current: { policy_version: version },
  });
  expect(await floorFor('contested')).toBe(0.4);
});

test('of changes that were made for the same revision, one is made', async () => {
  await make('raced', 0);
  const versions = await Promise.all([0.1, 0.2, 0.3, 0.4].map((floor) => draft('raced', floor)));
  const { revision } = await tenant('raced');
  const answers = await Promise.all(versions.map((version) => activate('raced', version, ifMatch(revision))));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412]);
  expect((await tenant('raced')).revision).toBe(revision + 1);
});

test('a whole document may name the revision it was made for, or that there must be none yet', async () => {
  const json = { name: 'Whole', policy: policy(0.1), keys: [] };
  const put = (headers: Record<string, string>, name = 'Whole') =>
    admin.tenants[':id'].$put({ param: { id: 'whole' }, json: { ...json, name } }, { headers });
  expect((await put({ 'if-match': '"1"' })).status).toBe(412);
  expect((await put({ 'if-none-match': '*' })).status).toBe(200);
  expect((await put({ 'if-none-match': '*' }, 'Again')).status).toBe(409);
  expect((await put({ 'if-match': '"1"' }, 'Renamed')).headers.get('etag')).toBe('"2"');
  expect((await put({ 'if-match': 'W/"7"' })).status).toBe(412);
  expect((await put({ 'if-match': 'yes' })).status).toBe(400);
});

test('a version is written once: putting it back keeps its time, and nobody can draft it differently', async () => {
  await make('once', 0.3);
  const version = await draft('once', 0.5);
  const read = () =>
    admin.tenants[':id'].policies[':version'].$get({ param: { id: 'once', version } }).then((answer) => answer.json());
  const first = await read();
  expect(first).toMatchObject({ version, policy: { floor: 0.5 }, problem: null });
  const again = await admin.tenants[':id'].policies.$post({ param: { id: 'once' }, json: { policy: policy(0.5) } });
  expect(await again.json()).toEqual({ version, created: false });
  expect(await read()).toEqual(first);
  const unknown = 'f'.repeat(version.length);
  const absent = await admin.tenants[':id'].policies[':version'].$get({ param: { id: 'once', version: unknown } });
  expect(absent.status).toBe(404);
  expect((await activate('once', unknown, { headers: { 'if-match': '*' } })).status).toBe(404);
});

test('the audit log shows whoever changed, cut or reordered it where it is wrong', async () => {
  await make('logged', 0.1);
  const versions = [await draft('logged', 0.2), await draft('logged', 0.3)];
  for (const version of versions) await activate('logged', version, { headers: { 'if-match': '*' } });
  const verify = async () => (await admin.tenants[':id'].audit.verify.$get({ param: { id: 'logged' } })).json();
  expect(await verify()).toMatchObject({ valid: true, entries: 5, problem: null });
  const storage = await storageOf(under, 'logged');
  const [entry] = await storage.exec('SELECT * FROM audit WHERE seq = 2');
  await storage.exec(`UPDATE audit SET actor = 'nobody' WHERE seq = 2`);
  expect(await verify()).toMatchObject({ valid: false, problem: { seq: 2, why: 'it is not what was written' } });
  await storage.exec('UPDATE audit SET actor = ? WHERE seq = 2', entry!.actor as string);
  expect(await verify()).toMatchObject({ valid: true });
  await storage.exec('DELETE FROM audit WHERE seq = 3');
  expect(await verify()).toMatchObject({ valid: false, problem: { seq: 4, why: 'entry 3 is missing' } });
  // A log that is cut at its end is whole in itself. The index knows better.
  await storage.exec('DELETE FROM audit WHERE seq > 2');
  expect(await verify()).toMatchObject({ valid: false, entries: 2, problem: { seq: 3 } });
  // Nor does it forget once the log has grown past the entries that were cut off.
  for (const floor of [0.4, 0.5, 0.6, 0.7]) await draft('logged', floor);
  expect(await verify()).toMatchObject({ valid: false, entries: 6, problem: { seq: 5 } });
  const { data } = await (await admin.audit.$get({ query: {} })).json();
  expect(data.filter((each) => each.tenant === 'logged')).toHaveLength(6);
});

test('the deployment’s log is checked against a head that the operator has noted', async () => {
  await make('noted', 0.1);
  const { entries: seq, head: hash } = await (await admin.audit.verify.$get({ query: {} })).json();
  await make('noted', 0.2);
  const verify = async (query: { seq: string; hash: string }) => (await admin.audit.verify.$get({ query })).json();
  expect(await verify({ seq: String(seq), hash })).toMatchObject({ valid: true, entries: seq + 1 });
  expect(await verify({ seq: String(seq), hash: 'f'.repeat(64) })).toMatchObject({ valid: false, problem: { seq } });
  expect(await verify({ seq: String(seq + 5), hash })).toMatchObject({ valid: false });
});

test('a plan’s policy is a level above the tenant’s, and a plan that is in use stays', async () => {
  const plan = { param: { id: 'careful' }, json: { name: 'Careful', policy: { floor: 0.6, budget: 4 } } };
  expect((await admin.plans[':id'].$put(plan)).status).toBe(200);
  const changedPlan = { ...plan, json: { name: 'More careful', policy: { floor: 0.65, budget: 4 } } };
  expect((await admin.plans[':id'].$put(changedPlan)).status).toBe(428);
  await make('planned', 0.2);
  const patch = (planId: string | null) =>
    admin.tenants[':id'].$patch({ param: { id: 'planned' }, json: { plan: planId } }, { headers: { 'if-match': '*' } });
  expect(await (await patch('unknown')).json()).toMatchObject({ error: { code: 'invalid_value', param: 'plan' } });
  const before = await tenant('planned');
  const after = await (await patch('careful')).json();
  expect(after).toMatchObject({ plan: 'careful', policy: { floor: 0.2 } });
  expect(after).not.toMatchObject({ effective_version: before.effective_version });
  expect(await floorFor('planned')).toBe(0.6);
  expect((await admin.plans[':id'].$put(changedPlan, ifMatch(1))).status).toBe(200);
  const remove = () => admin.plans[':id'].$delete({ param: { id: 'careful' } }, { headers: { 'if-match': '*' } });
  const inUse = await remove();
  expect([inUse.status, await inUse.json()]).toMatchObject([409, { error: { message: /still has 1 tenant/ } }]);
  await patch(null);
  expect((await remove()).status).toBe(200);
  expect(await floorFor('planned')).toBe(0.2);
});

test('a version goes live only if it passes its own tests, under the levels above it', async () => {
  await make('tested', 0.2);
  const categories = { violence: { floor: 0.9, ramp: { from: 0.5, full: 0.9 } } };
  const withTest = (floor_at_least: number) => ({
    floor: 0.2,
    budget: null,
    categories,
    tests: [{ name: 'a fight', prompt: '[[violence=0.95]]', expect: { floor_at_least } }],
  });
  const store = async (floor: number) => {
    const answer = await admin.tenants[':id'].policies.$post({
      param: { id: 'tested' },
      json: { policy: withTest(floor) },
    });
    return (await answer.json()).version;
  };
  const failing = await store(0.99);
  const run = async (version: string) => {
    const ran = await admin.tenants[':id'].policies[':version'].test.$post({ param: { id: 'tested', version } });
    return OPERATIONS['POST /admin/v1/tenants/:id/policies/:version/test']!.answers['application/json']!.parse(
      await ran.json(),
    );
  };
  const failures = ['floor: found 0.9, wanted at least 0.99'];
  // The operator's rule fires, too.
  const found = { action: 'mix', floor: 0.9, fires: ['violence', 'any_harm'] };
  expect(await run(failing)).toMatchObject({
    passed: false,
    data: [{ name: 'a fight', passed: false, failures, found }],
  });
  expect(await run(await store(0.9))).toMatchObject({ passed: true, data: [{ passed: true, failures: [] }] });
  expect(await run((await tenant('tested')).policy_version)).toMatchObject({ passed: true, data: [] });
  const refused = await activate('tested', failing, { headers: { 'if-match': '*' } });
  expect([refused.status, await refused.json()]).toMatchObject([
    400,
    { error: { code: 'invalid_value', param: 'policy.tests', message: expect.stringContaining("'a fight': floor") } },
  ]);
  expect((await activate('tested', await store(0.9), { headers: { 'if-match': '*' } })).status).toBe(200);
  const json = { name: 'x', policy: withTest(0.99), keys: [] };
  expect((await admin.tenants[':id'].$put({ param: { id: 'tested' }, json })).status).toBe(400);
  expect((await admin.tenants.$post({ json: { id: 'tested-2', name: 'x', policy: withTest(0.99) } })).status).toBe(400);
  expect(await floorFor('tested', '[[violence=0.95]]')).toBe(0.9);
});

test('answers are what the OpenAPI document says', async () => {
  await make('documented', 0.1);
  const version = await draft('documented', 0.2);
  await activate('documented', version, { headers: { 'if-match': '*' } }, 0.5);
  await admin.plans[':id'].$put({
    param: { id: 'shown' },
    json: { name: 'Shown', policy: { floor: 0, budget: null } },
  });
  const routes = {
    'GET /admin/v1/tenants': '/tenants',
    'GET /admin/v1/tenants/:id': '/tenants/documented',
    'GET /admin/v1/tenants/:id/keys': '/tenants/documented/keys',
    'GET /admin/v1/tenants/:id/policies': '/tenants/documented/policies',
    'GET /admin/v1/tenants/:id/policies/:version': `/tenants/documented/policies/${version}`,
    'GET /admin/v1/tenants/:id/policies/:version/diff': `/tenants/documented/policies/${version}/diff`,
    'GET /admin/v1/tenants/:id/audit': '/tenants/documented/audit',
    'GET /admin/v1/tenants/:id/audit/verify': '/tenants/documented/audit/verify',
    'GET /admin/v1/plans': '/plans',
    'GET /admin/v1/plans/:id': '/plans/shown',
    'GET /admin/v1/audit': '/audit',
    'GET /admin/v1/audit/verify': '/audit/verify',
  };
  for (const [route, path] of Object.entries(routes)) {
    const answer = await fetch(`${under.edge.url}/admin/v1${path}`, {
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    });
    const schema = OPERATIONS[route]?.answers['application/json'];
    // The schemas are strict, so a field that the document does not have is a fault.
    expect(schema?.safeParse(await answer.json()).error, route).toBeUndefined();
    expect(schema).toBeTruthy();
  }
  const served = await fetch(`${under.edge.url}/openapi.json`);
  expect(await served.json()).toMatchObject({ openapi: '3.1.0', paths: { '/v1/chat/completions': { post: {} } } });
});

test('a policy is small enough for every isolate to hold many', async () => {
  await make('large', 0.2);
  const tests = [1, 2].map((each) => ({ prompt: `${each}`.repeat(33_000), expect: { action: 'mix' as const } }));
  const param = { id: 'large' };
  const large = { ...policy(0.3), tests };
  const drafted = await admin.tenants[':id'].policies.$post({ param, json: { policy: large } });
  const keyed = await admin.tenants[':id'].keys.$post({ param, json: { policy: large } });
  for (const answer of [drafted, keyed]) {
    expect(await answer.json()).toMatchObject({ error: { code: 'invalid_value', param: 'policy' } });
  }
});
