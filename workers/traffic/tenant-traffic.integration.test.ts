/** What is kept of a tenant's prompts, and what is not: the Worker in workerd. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { MOST_KEPT, MOST_KEPT_CHARACTERS } from '../objects/tenant-traffic-contract.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { TrafficCall } from '../testing/worker/traffic-call.ts';

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const ALL = { traffic: true, share: 1 };

let under: EdgeUnderTest;
let edge: EdgeUnderTest['edge'];
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, contextOf: () => 100_000 });
  edge = under.edge;
});
afterAll(() => under.dispose());

let count = 0;
let tenant: string;
let key: string;
beforeEach(() => {
  count += 1;
  tenant = `keeper-${count}`;
  key = `pk-of-${tenant}`;
});

const admin = (method: string, route: string, { body, as = OPERATOR_KEY }: { body?: object; as?: string } = {}) =>
  fetch(`${edge.url}/admin/v1${route}`, {
    method,
    headers: { authorization: `Bearer ${as}`, 'if-match': '*' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
async function putTenant(policy: object, { id = tenant, plan = null as string | null } = {}): Promise<void> {
  const keys = [{ id: 'web', sha256: sha256(`pk-of-${id}`), scopes: ['inference', 'admin', 'prompts'] }];
  const body = { name: id, plan, policy: { floor: 0, budget: null, ...policy }, keys };
  const answer = await admin('PUT', `/tenants/${id}`, { body });
  expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
}
const chat = (content: string, more: object = {}, as = key) =>
  post(edge, '/v1/chat/completions', { ...ask(content), max_tokens: 4, ...more }, as).then(async (answer) => {
    return { status: answer.status, text: await answer.text() };
  });
type Line = { kept_at: string; messages: { role: string; content: string }[] };
async function samples(id = tenant, query = ''): Promise<Line[]> {
  const answer = await admin('GET', `/tenants/${id}/samples${query}`);
  expect(answer.status).toBe(200);
  return (await answer.text())
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}
const contents = (lines: Line[]) => lines.map(({ messages }) => messages.at(-1)!.content);
const storage = (id = tenant) =>
  edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantTraffic', { name: id });
async function rows(id = tenant): Promise<Record<string, unknown>[]> {
  return (await storage(id)).exec('SELECT * FROM prompts ORDER BY seq');
}
/** Waits until there are so many. A prompt is kept after its answer. */
const kept = async (wanted: number, id = tenant): Promise<Record<string, unknown>[]> => {
  const found = await rows(id);
  expect(found.length).toBeLessThanOrEqual(wanted);
  if (found.length === wanted) return found;
  await new Promise((resolve) => setTimeout(resolve, 20));
  return kept(wanted, id);
};
async function call(call: TrafficCall['call'], argument?: unknown, id = tenant): Promise<unknown> {
  const body: TrafficCall = { tenant: id, call, argument };
  const answer = await fetch(`${edge.url}/testing/traffic`, { method: 'POST', body: JSON.stringify(body) });
  return answer.json();
}
// The cast: the scripted object answers so.
const ring = async () => (await call('ring')) as { inMs: number; againInMs: number | null };
const prompt = (content: string) => ({ messages: JSON.stringify(ask(content).messages), days: 7 });
async function refusal(route: string, as = OPERATOR_KEY) {
  const answer = await admin('GET', route, { as });
  const { error } = (await answer.json()) as { error: { code: string; param: string; message: string } };
  return { status: answer.status, ...error };
}

test('keeps nothing unless the tenant says so, and says what to set', async () => {
  await putTenant({});
  expect(await chat('Hello')).toMatchObject({ status: 200 });
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({
    status: 409,
    code: 'conflict',
    param: 'retention',
    message: expect.stringContaining(`"retention": { "traffic": true`),
  });
  await putTenant({ retention: { ...ALL, share: 0 } });
  expect(await chat('Hello')).toMatchObject({ status: 200 });
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({ status: 409 });
  // The one that is kept comes after all that might have been.
  await putTenant({ retention: ALL });
  await chat('Allowed');
  await kept(1);
  expect(contents(await samples())).toEqual(['Allowed']);
});

test('with a share of 1 it keeps what was asked, and nothing of who asked or what was answered', async () => {
  const ramp = { from: 0.5, full: 0.9 };
  const categories = { hate: { action: 'refuse', ramp }, privacy: { floor: 0.9, ramp, shadow: true } };
  await putTenant({ retention: ALL, categories });
  expect((await chat('First')).status).toBe(200);
  expect((await chat('Streamed [[privacy=0.95]]', { stream: true })).status).toBe(200);
  expect((await chat('Refused [[hate=0.95]]')).status).toBe(403);
  const messages = [
    { role: 'developer', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'In parts' }] },
  ];
  expect((await chat('', { messages, user: 'someone@example.com', metadata: { x: 'y' } })).status).toBe(200);
  const found = await kept(4);
  expect(Object.keys(found[0]!).sort()).toEqual(['expires_at', 'kept_at', 'messages', 'seq']);
  const lines = await samples();
  expect(new Set(contents(lines))).toEqual(
    new Set(['First', 'Streamed [[privacy=0.95]]', 'Refused [[hate=0.95]]', 'In parts']),
  );
  const inParts = lines.find(({ messages }) => messages.length === 2)!;
  expect(Object.keys(inParts)).toEqual(['kept_at', 'messages']);
  expect(inParts.messages).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'In parts' },
  ]);
  expect(Date.now() - Date.parse(inParts.kept_at)).toBeLessThan(600_000);
  expect(contents(await samples(tenant, '?limit=2'))).toHaveLength(2);
});

test('what nobody answered is not kept: wrong requests, those above a limit, and trials', async () => {
  await putTenant({ retention: ALL, limits: { requests_per_minute: 1 } });
  expect((await chat('Wrong', { temperature: 9 })).status).toBe(400);
  expect((await chat('No such model', { model: 'none' })).status).toBe(404);
  expect((await chat('Wrong key', {}, 'pk-wrong')).status).toBe(401);
  const policies = await admin('POST', `/tenants/${tenant}/policies`, { body: { policy: { floor: 1, budget: 0 } } });
  const { version } = (await policies.json()) as { version: string };
  const tried = await post(edge, `/admin/v1/tenants/${tenant}/policies/${version}/try`, ask('A trial'), OPERATOR_KEY);
  expect([200, 429]).toContain(tried.status);
  await putTenant({ retention: ALL, limits: { tokens_per_minute: 1 } });
  expect((await chat('Too much')).status).toBe(429);
  await putTenant({ retention: ALL });
  // The one that is kept comes after all that might have been.
  expect((await chat('Right')).status).toBe(200);
  await kept(1);
  expect(contents(await samples())).toEqual(['Right']);
});

test('at most 500 are kept, the oldest goes first, and one that is too long is not kept', async () => {
  await putTenant({ retention: ALL });
  await chat('Oldest');
  await kept(1);
  const disk = await storage();
  const long = 'x'.repeat(MOST_KEPT_CHARACTERS);
  expect(await call('keep', { ...prompt(long) })).toBe(false);
  const now = Date.now();
  await disk.exec(
    `WITH RECURSIVE more (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM more WHERE i + 1 < ${MOST_KEPT})
     INSERT INTO prompts (kept_at, expires_at, messages)
     SELECT ?, ?, '[{"role":"user","content":"Older ' || i || '"}]' FROM more`,
    ...[now, now + DAY_MS],
  );
  expect(contents(await samples()).at(-1)).toBe('Oldest');
  await chat('Newest');
  const last = async (): Promise<Line[]> => {
    const lines = await samples();
    return contents(lines)[0] === 'Newest' ? lines : last();
  };
  const lines = await last();
  expect(lines).toHaveLength(MOST_KEPT);
  expect(contents(lines).at(-1)).toBe('Older 1');
  expect(await rows()).toHaveLength(MOST_KEPT);
});

test('a prompt is gone after its days, if nobody asks for it too', async () => {
  await putTenant({ retention: { ...ALL, days: 3 } });
  await chat('Soon gone');
  const [row] = await kept(1);
  expect(Number(row!.expires_at) - Number(row!.kept_at)).toBe(3 * DAY_MS);
  const disk = await storage();
  await disk.exec('UPDATE prompts SET kept_at = kept_at - ?, expires_at = expires_at - ?', 3 * DAY_MS, 3 * DAY_MS);
  const rung = await ring();
  expect(rung.inMs).toBeLessThanOrEqual(HOUR_MS);
  expect([rung.againInMs, await rows()]).toEqual([null, []]);

  await chat('Soon gone again');
  await kept(1);
  await disk.exec('UPDATE prompts SET kept_at = kept_at - ?', 2 * DAY_MS);
  expect(contents(await samples())).toEqual(['Soon gone again']);
  // The plan wants it to be for a shorter time.
  await admin('PUT', '/plans/short', { body: { name: 'Short', policy: { retention: { days: 1 } } } });
  await putTenant({ retention: { ...ALL, days: 3 } }, { plan: 'short' });
  expect(await samples()).toEqual([]);
  expect(await rows()).toEqual([]);
});

test('what was kept is erased soon after the tenant takes its permission back', async () => {
  await putTenant({ retention: ALL });
  await chat('Regretted');
  await kept(1);
  expect((await ring()).againInMs).toBeGreaterThan(0);
  expect(await rows()).toHaveLength(1);
  await putTenant({});
  const rung = await ring();
  expect(rung.inMs).toBeLessThanOrEqual(HOUR_MS);
  expect([rung.againInMs, await rows()]).toEqual([null, []]);
  expect(await call('keep', prompt('On its way'))).toBe(false);
});

test("a plan's policy forbids it, whatever the tenant says, and what was kept before is out of reach", async () => {
  await putTenant({ retention: ALL });
  await chat('Before');
  await kept(1);
  await admin('PUT', '/plans/forbids', { body: { name: 'Forbids', policy: { retention: { share: 0 } } } });
  await putTenant({ retention: ALL }, { plan: 'forbids' });
  expect((await chat('After')).status).toBe(200);
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({
    status: 409,
    message: expect.stringContaining("The plan's policy"),
  });
  // What is hidden is not lost: nobody has erased it, so no entry of the log tells of that.
  expect(await rows()).toHaveLength(1);
  await putTenant({ retention: ALL });
  await chat('Again');
  await kept(2);
  expect(contents(await samples())).toEqual(['Again', 'Before']);
  await putTenant({ retention: ALL }, { plan: 'forbids' });
  expect([(await ring()).againInMs, await rows()]).toEqual([null, []]);
});

test("a key's own policy forbids it for what is asked with that key", async () => {
  await putTenant({ retention: ALL });
  const own = { policy: { retention: { traffic: false } } };
  const made = await admin('POST', `/tenants/${tenant}/keys`, { body: own });
  const { key: silent } = (await made.json()) as { key: string };
  for (const content of ['Unheard', 'Unheard too']) expect((await chat(content, {}, silent)).status).toBe(200);
  await chat('Heard');
  await kept(1);
  expect(contents(await samples())).toEqual(['Heard']);
});

test('a canary that forbids it forbids it for both sides', async () => {
  await putTenant({ retention: ALL });
  const drafted = await admin('POST', `/tenants/${tenant}/policies`, { body: { policy: { floor: 0, budget: null } } });
  const { version } = (await drafted.json()) as { version: string };
  const canary = await admin('POST', `/tenants/${tenant}/policies/${version}/activate`, { body: { share: 0.5 } });
  expect(canary.status).toBe(200);
  await Promise.all(['a', 'b', 'c', 'd'].map((text) => chat(text)));
  expect((await admin('POST', `/tenants/${tenant}/rollback`)).status).toBe(200);
  await chat('Kept');
  await kept(1);
  expect(contents(await samples())).toEqual(['Kept']);
});

test.each(['keep', 'erase'])('a tenant that is deleted (data=%s) has none any more, and takes none', async (data) => {
  await putTenant({ retention: ALL });
  await chat('Private');
  await kept(1);
  expect((await admin('DELETE', `/tenants/${tenant}?data=${data}`)).status).toBe(200);
  expect(await rows()).toEqual([]);
  expect(await call('keep', prompt('On its way'))).toBe(false);
  expect(await rows()).toEqual([]);
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({ status: 404 });
});

test('a prompt that was on its way when all was erased is not kept', async () => {
  await putTenant({ retention: ALL });
  expect(await call('race', prompt('On its way'))).toBe(false);
  expect(await rows()).toEqual([]);
  expect(await call('keep', prompt('Later'))).toBe(true);
});

test('of a share of the requests, whatever they say, and never more than 60 a minute', async () => {
  await putTenant({ retention: { ...ALL, share: 0.5 } });
  for (let i = 0; i < 40; i++) expect((await chat('The same')).status).toBe(200);
  await putTenant({ retention: ALL });
  await chat('The last');
  const until = async (): Promise<Line[]> => {
    const lines = await samples();
    return contents(lines)[0] === 'The last' ? lines : until();
  };
  const half = (await until()).length - 1;
  // One of these in 2^40 runs of this test, if it is a fair coin.
  expect(half).toBeGreaterThan(0);
  expect(half).toBeLessThan(40);

  await admin('DELETE', `/tenants/${tenant}/samples`);
  tenant = `${tenant}-busy`;
  key = `pk-of-${tenant}`;
  await putTenant({ retention: ALL });
  const began = Date.now();
  for (let i = 0; i < 70; i++) expect((await chat('Many')).status).toBe(200);
  const minutes = Math.ceil((Date.now() - began) / 60_000);
  if (minutes === 1) await kept(60);
  expect((await rows()).length).toBeLessThanOrEqual(60 * minutes);
});

test('a suspended tenant keeps what it has, and takes none', async () => {
  await putTenant({ retention: ALL });
  await chat('Before');
  await kept(1);
  expect((await admin('POST', `/tenants/${tenant}/suspend`, { body: { reason: 'unpaid' } })).status).toBe(200);
  expect((await chat('Meanwhile')).status).toBe(403);
  // What the tenant's object said a moment ago counts for a while, or until the alarm asks again.
  await ring();
  expect(await call('keep', prompt('Late'))).toBe(false);
  expect(contents(await samples())).toEqual(['Before']);
});

test('two tenants are apart', async () => {
  const other = `${tenant}-other`;
  await putTenant({ retention: ALL });
  await putTenant({ retention: ALL }, { id: other });
  await chat('Mine');
  await chat('Theirs', {}, `pk-of-${other}`);
  await Promise.all([kept(1), kept(1, other)]);
  expect(contents(await samples())).toEqual(['Mine']);
  expect(contents(await samples(other))).toEqual(['Theirs']);
  expect(await refusal(`/tenants/${other}/samples`, key)).toMatchObject({ status: 404, code: 'not_found' });
  expect((await admin('DELETE', `/tenants/${other}/samples`, { as: key })).status).toBe(404);
  expect((await admin('DELETE', `/tenants/${tenant}/samples`, { as: key })).status).toBe(200);
  expect([await samples(), contents(await samples(other))]).toEqual([[], ['Theirs']]);
});

test('whoever reads or erases them is in the audit log, and a key needs the scope', async () => {
  await putTenant({ retention: ALL });
  await chat('Looked at');
  await kept(1);
  for (const scopes of [['read'], ['prompts'], ['inference', 'read', 'admin']]) {
    const made = await admin('POST', `/tenants/${tenant}/keys`, { body: { scopes } });
    const { key: other } = (await made.json()) as { key: string };
    const refused = { status: 403, code: 'permission_denied' };
    expect(await refusal(`/tenants/${tenant}/samples`, other)).toMatchObject(refused);
    expect((await admin('DELETE', `/tenants/${tenant}/samples`, { as: other })).status).toBe(403);
    if (!scopes.includes('admin')) continue;
    expect((await refusal(`/tenants/${tenant}/samples`, other)).message).toContain("'prompts'");
    const wider = await admin('POST', `/tenants/${tenant}/keys`, { body: { scopes: ['prompts'] }, as: other });
    expect(wider.status).toBe(403);
  }
  expect(await rows()).toHaveLength(1);
  const revision = async () => (await admin('GET', `/tenants/${tenant}`)).headers.get('etag');
  const before = await revision();
  expect((await admin('GET', `/tenants/${tenant}/samples`, { as: key })).status).toBe(200);
  await samples();
  const erased = await admin('DELETE', `/tenants/${tenant}/samples`);
  expect(await erased.json()).toEqual({ id: tenant, erased: 1 });
  expect(await (await admin('DELETE', `/tenants/${tenant}/samples`)).json()).toEqual({ id: tenant, erased: 0 });
  expect(await revision()).toBe(before);
  const log = (await (await admin('GET', `/tenants/${tenant}/audit`)).json()) as { data: object[] };
  expect(log.data.slice(0, 3)).toMatchObject([
    { action: 'prompts-erase', actor: 'operator', detail: { prompts: 1 } },
    { action: 'prompts-read', actor: 'operator', detail: { prompts: 1 } },
    { action: 'prompts-read', actor: 'key:web', detail: { prompts: 1 } },
  ]);
  expect(await (await admin('GET', `/tenants/${tenant}/audit/verify`)).json()).toMatchObject({ valid: true });
  expect(JSON.stringify(log)).not.toContain('Looked at');
});

test('an erasure that fails is in no log, and comes again', async () => {
  await putTenant({ retention: ALL });
  await chat('Still there');
  await kept(1);
  const log = async () => {
    const answer = await admin('GET', `/tenants/${tenant}/audit`);
    return ((await answer.json()) as { data: { action: string }[] }).data.map(({ action }) => action);
  };
  await call('stay');
  expect((await admin('DELETE', `/tenants/${tenant}/samples`, { as: key })).status).toBe(503);
  expect(await rows()).toHaveLength(1);
  expect(await log()).not.toContain('prompts-erase');
  const erased = await admin('DELETE', `/tenants/${tenant}/samples`, { as: key });
  expect(await erased.json()).toEqual({ id: tenant, erased: 1 });
  expect([await rows(), (await log())[0]]).toEqual([[], 'prompts-erase']);
});

test('reading and erasing them changes nothing that a request needs, so the copies near to requests stay', async () => {
  await putTenant({ retention: ALL });
  await chat('Read');
  await kept(1);
  const near = await edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
  const name = `key:${sha256(key)}`;
  await near.put(name, 'as it was');
  expect(contents(await samples())).toEqual(['Read']);
  await (await admin('GET', `/tenants/${tenant}/samples`, { as: key })).text();
  expect((await admin('DELETE', `/tenants/${tenant}/samples`)).status).toBe(200);
  expect(await near.get(name)).toBe('as it was');
});

test('a backup has none of them', async () => {
  await putTenant({ retention: ALL });
  await chat('NOT-IN-A-BACKUP');
  await kept(1);
  const backup = await (await admin('GET', '/export')).text();
  expect(backup).toContain(`"id":"${tenant}"`);
  expect(backup).not.toContain('NOT-IN-A-BACKUP');
});

test('a request neither waits for it nor fails with it, and the log does not quote it', async () => {
  await putTenant({ retention: ALL });
  await call('fail');
  expect((await chat('QUOTED-IN-AN-ERROR')).status).toBe(200);
  await eventually(
    () => under.log,
    (log) => log.some((line) => line.includes('prompt-not-kept') && line.includes(tenant)),
    60_000,
  );
  await call('hang');
  expect((await chat('SLOWLY-KEPT')).status).toBe(200);
  await chat('Kept at last');
  await kept(1);
  expect(under.log.join('\n')).not.toMatch(/QUOTED-IN-AN-ERROR|SLOWLY-KEPT|Kept at last/);
});

test('an edge without the object keeps nothing, and answers', async () => {
  const without = await startEdgeUnderTest({ seed: false, without: ['TENANT_TRAFFIC'] });
  const former = edge;
  edge = without.edge;
  try {
    await putTenant({ retention: ALL });
    expect((await chat('Hello')).status).toBe(200);
    expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({
      status: 409,
      message: expect.stringContaining('TENANT_TRAFFIC'),
    });
    expect(await (await admin('DELETE', `/tenants/${tenant}/samples`)).json()).toEqual({ id: tenant, erased: 0 });
    expect((await admin('DELETE', `/tenants/${tenant}?data=erase`)).status).toBe(200);
  } finally {
    edge = former;
    await without.dispose();
  }
});
