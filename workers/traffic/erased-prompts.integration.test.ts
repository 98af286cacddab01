/** When kept prompts are erased, and when they are only hidden: the Worker in workerd. */
import { beforeEach, expect, test } from 'vitest';
import { storageOf } from '../testing/edge-under-test.ts';
import { ALL, contents, DAY_MS, HOUR_MS, keptPromptsBench, prompt } from '../testing/kept-prompts-bench.ts';

const bench = keptPromptsBench();
const { admin, putTenant, chat, samples, storage, rows, kept, call, ring, refusal } = bench;
let tenant: string;
beforeEach(() => {
  ({ tenant } = bench);
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

test('the operator forbids it, whatever the others say, and what was kept is erased within an hour', async () => {
  await putTenant({ retention: ALL });
  await chat('Before');
  await kept(1);
  await call('forbid');
  const rung = await ring();
  expect(rung.inMs).toBeLessThanOrEqual(HOUR_MS);
  expect([rung.againInMs, await rows()]).toEqual([null, []]);
  expect(await call('keep', prompt('On its way'))).toBe(false);
});

test('while a policy cannot be read nothing is kept or given out, and nothing is erased before its time', async () => {
  await admin('PUT', '/plans/free', { body: { name: 'Free', policy: {} } });
  await putTenant({ retention: ALL }, { plan: 'free' });
  await chat('Hidden');
  await kept(1);
  const own = await storageOf(bench.under, tenant);
  await own.exec("UPDATE policies SET document = replace(document, '{', '{ ')");
  expect((await ring()).againInMs).toBeGreaterThan(0);
  expect(await call('keep', prompt('On its way'))).toBe(false);
  expect(await refusal(`/tenants/${tenant}/samples`)).toMatchObject({ status: 409, code: 'conflict' });
  expect(await rows()).toHaveLength(1);
  expect(bench.under.log.some((line) => line.includes('kept-prompts-unchecked') && line.includes(tenant))).toBe(true);
  // What can be read still forbids it, and days still pass.
  const disk = await storage();
  await disk.exec('UPDATE prompts SET expires_at = kept_at');
  expect([(await ring()).againInMs, await rows()]).toEqual([null, []]);

  await putTenant({ retention: ALL }, { plan: 'free' });
  await chat('Forbidden');
  await kept(1);
  await own.exec("UPDATE policies SET document = replace(document, '{', '{ ')");
  await admin('PUT', '/plans/free', { body: { name: 'Free', policy: { retention: { traffic: false } } } });
  expect([(await ring()).againInMs, await rows()]).toEqual([null, []]);
});

test('a permission that is given anew counts for the next prompt', async () => {
  await putTenant({});
  expect(await call('keep', prompt('Too early'))).toBe(false);
  await putTenant({ retention: ALL });
  expect(await call('keep', prompt('In time'))).toBe(true);
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
