/**
 * What is stored of responses, who can go on from it, and what erases it: the Worker in workerd.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { InputItemList } from '#shared/api/responses-answer.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { MOST_STORED, MOST_STORED_CHARACTERS } from '../objects/tenant-responses-contract.ts';
import {
  type EdgeUnderTest,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { holdToOpenAI } from '../testing/hold-to-openai.ts';
import { lastResponse, readEvents, readResponse } from '../testing/read-response.ts';

const DAY_MS = 24 * 60 * 60_000;

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false, contextOf: () => 100_000 });
});
afterAll(() => under.dispose());

let count = 0;
let tenant: string;
let key: string;
beforeEach(() => {
  count += 1;
  tenant = `storer-${count}`;
  key = `pk-of-${tenant}`;
  under.backends[0]!.seen.length = 0;
});

const admin = (method: string, route: string, body?: object) =>
  fetch(`${under.edge.url}/admin/v1${route}`, {
    method,
    headers: { authorization: `Bearer ${OPERATOR_KEY}`, 'if-match': '*' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const ALLOWED = { responses: true };
async function putTenant(retention: object, { id = tenant, more = {}, plan = null as string | null } = {}) {
  const keys = [{ id: 'web', sha256: sha256(`pk-of-${id}`) }];
  const body = { name: id, plan, policy: { floor: 0, budget: null, retention, ...more }, keys };
  const answer = await admin('PUT', `/tenants/${id}`, body);
  expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
}
const ask = (input: unknown, more: object = {}) => ({ model: 'scripted', input, seed: 7, ...more });
const respond = (body: object, as = key) => post(under.edge, '/v1/responses', body, as);
const stored = async (body: object, as = key) => {
  const response = await readResponse(await respond(body, as));
  expect(response.store).toBe(true);
  return response;
};
const call = (method: string, route: string, as = key) =>
  fetch(`${under.edge.url}/v1/responses/${route}`, { method, headers: { authorization: `Bearer ${as}` } });
async function errorOf(answer: Response) {
  // The cast: the test reads what the table of errors promises.
  const { error } = (await answer.json()) as ErrorBody;
  return { status: answer.status, ...error };
}
const disk = (id = tenant) =>
  under.edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantResponses', { name: id });
const rows = async (id = tenant) => (await disk(id)).exec('SELECT * FROM responses ORDER BY seq');
const ring = async () => {
  const rung = await fetch(`${under.edge.url}/testing/responses`, { method: 'POST', body: tenant });
  // The cast: the scripted object answers so.
  return (await rung.json()) as { inMs: number | null; againInMs: number | null };
};
const seenMessages = () => under.backends[0]!.seen.at(-1)!.request.messages;

describe('without permission', () => {
  test('nothing is stored, and a wish for it is named', async () => {
    await putTenant({});
    const wished = await respond(ask('Hello', { store: true }));
    expect(wished.headers.get('x-plimsoll-ignored')).toBe('store');
    const response = await readResponse(wished);
    expect(response.store).toBe(false);
    const unsaid = await respond(ask('Hello', { stream: true }));
    expect(unsaid.headers.get('x-plimsoll-ignored')).toBeNull();
    expect(lastResponse(await readEvents(unsaid)).store).toBe(false);
    expect(await rows()).toEqual([]);
    for (const found of [await call('GET', response.id), await call('GET', `${response.id}/input_items`)]) {
      expect(await errorOf(found)).toMatchObject({ status: 404, message: expect.stringContaining('retention') });
    }
  });

  test('what goes on from something stored is refused, and says what the policy lacks', async () => {
    await putTenant({});
    const before = ask('Hello', { previous_response_id: `resp_${'0'.repeat(48)}` });
    expect(await errorOf(await respond(before))).toMatchObject({
      status: 400,
      code: 'previous_response_not_found',
      param: 'previous_response_id',
      message: expect.stringContaining(`"retention": { "responses": true }`),
    });
    const reference = ask([{ type: 'item_reference', id: `msg_${'0'.repeat(48)}o0` }]);
    expect(await errorOf(await respond(reference))).toMatchObject({
      status: 400,
      param: 'input[0]',
      message: expect.stringContaining(`"retention": { "responses": true }`),
    });
    expect(under.backends[0]!.seen).toEqual([]);
  });

  test("a plan forbids what its tenant's policy allows", async () => {
    const policy = { retention: { responses: false } };
    const plan = await admin('PUT', `/plans/stateless`, { name: 'stateless', policy });
    expect([plan.status, await plan.text()]).toMatchObject([200, expect.any(String)]);
    await putTenant(ALLOWED, { plan: 'stateless' });
    expect((await readResponse(await respond(ask('Hello')))).store).toBe(false);
    expect(await rows()).toEqual([]);
  });
});

describe('with permission', () => {
  test('a response is read again as it was, with what it was asked with', async () => {
    await putTenant(ALLOWED);
    const input = [
      { role: 'developer', content: 'Use English.' },
      { role: 'user', content: [{ type: 'input_text', text: 'Hello' }] },
    ];
    const response = await stored(ask(input, { metadata: { thread: '7' } }));
    const again = await call('GET', response.id);
    expect(again.headers.get('content-type')).toBe('application/json');
    expect(await readResponse(again)).toEqual(response);
    const listed: unknown = await (await call('GET', `${response.id}/input_items?order=asc`)).json();
    holdToOpenAI('ResponseItemList', listed);
    const { data, has_more } = InputItemList.parse(listed);
    expect(data).toMatchObject([
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Use English.' }] },
      { type: 'message', role: 'user', status: 'completed', content: [{ type: 'input_text', text: 'Hello' }] },
    ]);
    expect(has_more).toBe(false);
    const page = InputItemList.parse(await (await call('GET', `${response.id}/input_items?limit=1`)).json());
    expect(page).toMatchObject({ data: [data[1]], has_more: true, first_id: data[1]!.id });
    const next = await call('GET', `${response.id}/input_items?limit=1&after=${page.last_id}`);
    expect(InputItemList.parse(await next.json())).toMatchObject({ data: [data[0]], has_more: false });
    expect((await call('GET', `${response.id}/input_items?limit=0`)).status).toBe(400);
    expect((await call('GET', `${response.id}?stream=true`)).status).toBe(400);
  });

  test('a streamed one is there as soon as its last event is', async () => {
    await putTenant(ALLOWED);
    const response = lastResponse(await readEvents(await respond(ask('Hello', { stream: true }))));
    expect(response.store).toBe(true);
    expect(await readResponse(await call('GET', response.id))).toEqual(response);
  });

  test('a client that says no is heard', async () => {
    await putTenant(ALLOWED);
    expect((await readResponse(await respond(ask('Hello', { store: false })))).store).toBe(false);
    expect(await rows()).toEqual([]);
  });

  test('what goes on from a response has the whole conversation, and its own instructions alone', async () => {
    await putTenant(ALLOWED);
    const first = await stored(ask('One', { instructions: 'Count.' }));
    const second = await stored(ask('Two', { previous_response_id: first.id, instructions: 'Go on.' }));
    const third = await stored(ask('Three', { previous_response_id: second.id }));
    expect(third.previous_response_id).toBe(second.id);
    const said = 'The answer to seed 7 is ⚓ and no more.';
    expect(seenMessages()).toEqual([
      { role: 'user', content: 'One' },
      { role: 'assistant', content: said },
      { role: 'user', content: 'Two' },
      { role: 'assistant', content: said },
      { role: 'user', content: 'Three' },
    ]);
    expect(under.backends[0]!.seen.at(-2)!.request.messages[0]).toEqual({ role: 'system', content: 'Go on.' });
  });

  test('the earlier conversation is classified again', async () => {
    await putTenant(ALLOWED);
    const first = await stored(ask('[[hate=0.95]]'));
    const rule = { categories: { hate: { action: 'refuse', ramp: { from: 0.5, full: 0.9 } } } };
    await putTenant(ALLOWED, { more: rule });
    // The edge hears of another policy within the isolate's freshness.
    await expect.poll(async () => (await respond(ask('[[hate=0.95]]'))).status, { timeout: 600_000 }).toBe(403);
    const harmless = ask('And now something else', { previous_response_id: first.id });
    expect(await errorOf(await respond(harmless))).toMatchObject({ status: 403, code: 'policy_refused' });
  });

  test('a reference stands for the item itself', async () => {
    await putTenant(ALLOWED);
    const first = await stored(ask('One'));
    const input = [{ role: 'user', content: 'One' }, { id: first.output[0]!.id }, { role: 'user', content: 'Two' }];
    const second = await stored(ask(input));
    const said = { role: 'assistant', content: 'The answer to seed 7 is ⚓ and no more.' };
    expect(seenMessages()).toEqual([{ role: 'user', content: 'One' }, said, { role: 'user', content: 'Two' }]);
    // What is stored has the item in its place, so it outlives the first.
    expect((await call('DELETE', first.id)).status).toBe(200);
    await stored(ask('Three', { previous_response_id: second.id }));
    expect(seenMessages()[1]).toEqual(said);
    expect(await errorOf(await respond(ask(input)))).toMatchObject({ status: 400, param: 'input[1]' });
  });

  test('what is erased is gone, and what went on from it goes on no more', async () => {
    await putTenant(ALLOWED);
    const first = await stored(ask('One'));
    const second = await stored(ask('Two', { previous_response_id: first.id }));
    expect(await (await call('DELETE', first.id)).json()).toEqual({ id: first.id, object: 'response', deleted: true });
    expect(await errorOf(await call('DELETE', first.id))).toMatchObject({ status: 404, code: 'not_found' });
    expect(await errorOf(await call('GET', first.id))).toMatchObject({ status: 404, code: 'not_found' });
    expect((await call('GET', second.id)).status).toBe(200);
    for (const { id } of [first, second]) {
      expect(await errorOf(await respond(ask('Three', { previous_response_id: id })))).toMatchObject({
        code: 'previous_response_not_found',
        message: expect.stringContaining(first.id),
      });
    }
  });

  test("no other tenant's key reads it, goes on from it or erases it", async () => {
    await putTenant(ALLOWED);
    const mine = await stored(ask('Mine'));
    const other = `${tenant}-other`;
    await putTenant(ALLOWED, { id: other });
    const as = `pk-of-${other}`;
    expect((await call('GET', mine.id, as)).status).toBe(404);
    expect((await call('GET', `${mine.id}/input_items`, as)).status).toBe(404);
    expect((await call('DELETE', mine.id, as)).status).toBe(404);
    expect((await respond(ask('Theirs', { previous_response_id: mine.id }), as)).status).toBe(400);
    expect((await respond(ask([{ type: 'item_reference', id: mine.output[0]!.id }]), as)).status).toBe(400);
    expect((await call('GET', mine.id, 'pk-wrong')).status).toBe(401);
    expect((await call('GET', mine.id)).status).toBe(200);
  });

  test('its id has nothing of the id of the request, and no log has it', async () => {
    await putTenant(ALLOWED);
    const answer = await respond(ask('A word nobody else says: xylograph'));
    const request = answer.headers.get('x-request-id')!.slice('req_'.length);
    const response = await readResponse(answer);
    expect(response.id).toMatch(/^resp_[0-9a-f]{48}$/);
    expect(response.id).not.toContain(request.slice(0, 8));
    await call('GET', response.id);
    await call('DELETE', response.id);
    for (const word of ['xylograph', response.id.slice('resp_'.length)])
      expect(under.log.join('\n')).not.toContain(word);
  });

  test('one that is too long is not stored, and says so', async () => {
    await putTenant(ALLOWED);
    const response = await readResponse(
      await respond(ask('x'.repeat(MOST_STORED_CHARACTERS), { max_output_tokens: 3 })),
    );
    expect(response.store).toBe(false);
    expect(await rows()).toEqual([]);
  });

  test('the newest push out the oldest', async () => {
    await putTenant(ALLOWED);
    const oldest = await stored(ask('Oldest'));
    const now = Date.now();
    await (await disk()).exec(
      `WITH RECURSIVE more (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM more WHERE i + 1 < ${MOST_STORED})
       INSERT INTO responses (id, previous, kept_at, expires_at, response, input, characters)
       SELECT 'resp_' || i, NULL, ?, ?, '{}', '[]', 4 FROM more`,
      ...[now, now + DAY_MS],
    );
    const newest = await stored(ask('Newest'));
    expect(await rows()).toHaveLength(MOST_STORED);
    expect((await call('GET', oldest.id)).status).toBe(404);
    expect((await call('GET', newest.id)).status).toBe(200);
    // One that is as large as all together leaves room for itself alone.
    await (await disk()).exec('UPDATE responses SET characters = ? WHERE id = ?', 64 * 1024 * 1024, newest.id);
    const last = await stored(ask('Last'));
    expect((await rows()).map(({ id }) => id)).toEqual([last.id]);
  });

  test('after its days it is gone', async () => {
    await putTenant({ ...ALLOWED, days: 3 });
    const response = await stored(ask('Soon gone'));
    const [row] = await rows();
    expect(Number(row!.expires_at) - Number(row!.kept_at)).toBe(3 * DAY_MS);
    await (await disk()).exec('UPDATE responses SET expires_at = ?', Date.now() - 1);
    expect((await call('GET', response.id)).status).toBe(404);
    expect((await ring()).againInMs).toBeNull();
    expect(await rows()).toEqual([]);
  });

  test('a key that may see fewer days hides the older ones from itself alone', async () => {
    await putTenant({ ...ALLOWED, days: 7 });
    const response = await stored(ask('Three days ago'));
    const hasty = await admin('POST', `/tenants/${tenant}/keys`, { id: 'hasty', policy: { retention: { days: 1 } } });
    // The cast: the route answers so.
    const { key: strict } = (await hasty.json()) as { key: string };
    await (await disk()).exec('UPDATE responses SET kept_at = kept_at - ?', 3 * DAY_MS);
    expect((await call('GET', response.id, strict)).status).toBe(404);
    const goingOn = ask('And now', { previous_response_id: response.id });
    expect((await respond(goingOn, strict)).status).toBe(400);
    expect((await call('GET', response.id)).status).toBe(200);
    expect((await respond(goingOn)).status).toBe(200);
  });

  test('its trace is read no further than the policy of the reader allows', async () => {
    await putTenant(ALLOWED);
    const wish = { plimsoll: { trace: 'tokens' }, include: ['message.output_text.logprobs'] };
    const { id, plimsoll } = await stored(ask('Hello', wish));
    expect(plimsoll?.tokens?.length).toBeGreaterThan(0);
    const made = await admin('POST', `/tenants/${tenant}/keys`, {
      id: 'blind',
      policy: { trace: 'none', shaping: { logprobs: false } },
    });
    // The cast: the route answers so.
    const { key: blind } = (await made.json()) as { key: string };
    const answer = await call('GET', id, blind);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const seen = await readResponse(answer);
    expect(Object.keys(seen.plimsoll ?? {}).sort()).toEqual(['policy', 'receipt']);
    expect(JSON.stringify(seen.output)).toContain('"logprobs":[]');
    const whole = await readResponse(await call('GET', id));
    expect(whole.plimsoll).toEqual(plimsoll);
    expect(JSON.stringify(whole.output)).not.toContain('"logprobs":[]');
  });

  test('after its days it goes by itself, if nobody asks for it', async () => {
    await putTenant(ALLOWED);
    await stored(ask('Soon gone'));
    const { inMs } = await ring();
    expect(inMs).toBeLessThanOrEqual(60 * 60_000);
    expect(await rows()).toHaveLength(1);
    await (await disk()).exec('UPDATE responses SET expires_at = ?', Date.now() - 1);
    expect((await ring()).againInMs).toBeNull();
    expect(await rows()).toEqual([]);
  });

  test.each(['tenant', 'plan'])('all go within the hour in which the %s takes the permission back', async (level) => {
    const plan = (retention: object) => admin('PUT', '/plans/changing', { name: 'changing', policy: { retention } });
    expect((await plan({})).status).toBe(200);
    await putTenant(ALLOWED, { plan: 'changing' });
    const response = await stored(ask('Hello'));
    if (level === 'tenant') await putTenant({ responses: false }, { plan: 'changing' });
    else expect((await plan({ responses: false })).status).toBe(200);
    // Until then, nobody can read it: at once after a change of the tenant's own policy, and after
    // one of its plan within the minute in which the edge hears of it.
    if (level === 'tenant') {
      await expect.poll(async () => (await call('GET', response.id)).status, { timeout: 600_000 }).toBe(404);
    }
    expect(await rows()).toHaveLength(1);
    expect((await ring()).againInMs).toBeNull();
    expect(await rows()).toEqual([]);
  });

  test('what a level forbids can still be erased', async () => {
    await putTenant(ALLOWED);
    const response = await stored(ask('Hello'));
    await putTenant({});
    await expect.poll(async () => (await call('GET', response.id)).status, { timeout: 600_000 }).toBe(404);
    expect((await call('DELETE', response.id)).status).toBe(200);
    expect(await rows()).toEqual([]);
  });

  test.each(['keep', 'erase'])('all go with their tenant (data=%s)', async (data) => {
    await putTenant(ALLOWED);
    await stored(ask('Going'));
    expect(await rows()).toHaveLength(1);
    expect((await admin('DELETE', `/tenants/${tenant}?data=${data}`)).status).toBe(200);
    expect(await rows()).toEqual([]);
  });

  test("goes on through OpenAI's client", async () => {
    await putTenant(ALLOWED);
    const client = openaiClient(under.edge, key);
    const first = await client.responses.create({ model: 'scripted', input: 'One' });
    const second = await client.responses.create({ model: 'scripted', input: 'Two', previous_response_id: first.id });
    expect((await client.responses.retrieve(second.id)).output_text).toBe(second.output_text);
    const items = [];
    for await (const item of client.responses.inputItems.list(second.id)) items.push(item);
    expect(items).toMatchObject([{ type: 'message', content: [{ text: 'Two' }] }]);
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
  });
});
