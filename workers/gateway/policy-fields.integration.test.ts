/** A policy's shadow rules, its own words and what it allows, as a client meets them. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

const KEY = 'pk-bakery';
const ramp = { from: 0.5, full: 0.9 };
const rules = {
  self_harm: { action: 'refuse', refusal: 'Please call 1-2-3.', ramp },
  hate: { action: 'refuse', ramp },
};
const shadow = { violence: { action: 'refuse', ramp }, hate: { floor: 0.4, ramp } };
const bakery = { floor: 0.2, budget: 10, refusal: 'We only talk about bread.', categories: rules, shadow };

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ probeOf: () => ({}) });
  backend = under.backends[0]!;
  for (const [id, policy, key] of [
    ['bakery', bakery, KEY],
    ['plain', { ...bakery, shadow: {} }, 'pk-plain'],
    ['bounded', { floor: 0, budget: null, models: ['other'], trace: 'summary' }, 'pk-bounded'],
    ['earning', { floor: 0, budget: 6, earned: { start: 1, rate: 0.5 } }, 'pk-earning'],
    ['silent', { floor: 0, budget: null, models: ['scripted'], trace: 'none' }, 'pk-silent'],
  ] as const) {
    const put = await fetch(`${under.edge.url}/admin/v1/tenants/${id}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
      body: JSON.stringify({ name: id, policy, keys: [{ id: 'main', sha256: sha256(key) }] }),
    });
    expect(put.status, await put.text()).toBe(200);
  }
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.probe = {};
});

async function answer(prompt: string, key = KEY) {
  const sent = await post(under.edge, '/v1/chat/completions', ask(prompt), key);
  const text = await sent.text();
  expect(sent.status, text).toBe(200);
  // The test reads what the schema promises.
  return JSON.parse(text) as ChatCompletion & { plimsoll: AnswerExtension };
}

test('a shadow rule is reported in the answer and counted in the log, and changes nothing', async () => {
  const prompt = '[[violence=0.95]]';
  const { plimsoll } = await answer(prompt);
  const would = { action: 'refuse', floor: 1, ceiling: 1, budget: 10, opening: { tokens: 0, floor: 0 } };
  expect(plimsoll.shadow).toEqual([{ signal: 'violence', look: 'edge', probability: 0.95, tightens: true, would }]);
  const { line, second_look } = backend.seen.at(-1)!.directive;
  await answer(prompt, 'pk-plain');
  expect(backend.seen.at(-1)!.directive).toMatchObject({ tenant: 'plain', line, second_look });
  expect(under.log.join('\n')).toMatch(/"event":"shadow-rules".*"tenant":"bakery".*"signal":"violence"/);
});

test('what only the second look finds is reported too', async () => {
  backend.probe = { violence: 0.97 };
  const { plimsoll, choices } = await answer('Hello');
  expect(choices[0]!.finish_reason).not.toBe('content_filter');
  expect(plimsoll.shadow).toMatchObject([{ signal: 'violence', look: 'backend', probability: 0.97 }]);
  expect(plimsoll.second_look).toMatchObject({ tightened: false });
});

test('an answer in which no shadow rule fires says so', async () => {
  expect((await answer('Hello')).plimsoll.shadow).toEqual([]);
  expect((await answer('[[violence=0.95]]', 'pk-plain')).plimsoll.shadow).toEqual([]);
});

test.each([
  ['self_harm', 'Please call 1-2-3.'],
  ['hate', 'We only talk about bread.'],
])('a refusal because of %s is in the tenant’s words, by either look', async (signal, words) => {
  const refused = await post(under.edge, '/v1/chat/completions', ask(`[[${signal}=0.95]]`), KEY);
  expect(refused.status).toBe(403);
  expect(((await refused.json()) as ErrorBody).error).toMatchObject({ code: 'policy_refused', message: words });

  backend.probe = { [signal]: 0.95 };
  expect((await answer('Hello')).choices[0]).toMatchObject({
    finish_reason: 'content_filter',
    message: { content: words },
  });
  const stream = await openaiClient(under.edge, KEY).chat.completions.create({ ...ask('Hello'), stream: true });
  let text = '';
  for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
  expect(text).toBe(words);
});

test('a model that the policy does not allow does not exist for the tenant', async () => {
  const client = openaiClient(under.edge, 'pk-bounded');
  expect((await client.models.list()).data).toEqual([]);
  const missing = { status: 404, code: 'model_not_found', param: 'model' };
  await expect(client.models.retrieve('scripted')).rejects.toMatchObject(missing);
  await expect(client.chat.completions.create(ask('Hello'))).rejects.toMatchObject(missing);
  expect((await openaiClient(under.edge, 'pk-silent').models.list()).data.map(({ id }) => id)).toEqual(['scripted']);
});

test('a request is told at most what the policy allows', async () => {
  const asking = (trace: string) =>
    post(under.edge, '/v1/chat/completions', { ...ask('Hello'), plimsoll: { trace } }, 'pk-silent');
  for (const trace of ['summary', 'tokens']) {
    const refused = await asking(trace);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'permission_denied', param: 'plimsoll.trace' } });
  }
  for (const sent of [
    await asking('none'),
    await post(under.edge, '/v1/chat/completions', ask('Hello'), 'pk-silent'),
  ]) {
    const { plimsoll } = (await sent.json()) as { plimsoll: object };
    expect(Object.keys(plimsoll)).toEqual(['policy', 'receipt']);
  }
});

test('an earned budget is part of the line that a backend is given', async () => {
  await answer('Hello', 'pk-earning');
  expect(backend.seen.at(-1)!.directive.line).toMatchObject({ budget: 6, earned: { start: 1, rate: 0.5 } });
});
