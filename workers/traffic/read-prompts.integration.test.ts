/** Who reads and erases kept prompts, and what tells of it: the Worker in workerd. */
import { beforeEach, expect, test } from 'vitest';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { ALL, contents, keptPromptsBench } from '../testing/kept-prompts-bench.ts';

const bench = keptPromptsBench();
const { admin, putTenant, chat, samples, rows, kept, call, refusal } = bench;
let tenant: string;
let key: string;
beforeEach(() => {
  ({ tenant, key } = bench);
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
  const near = await bench.under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
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
