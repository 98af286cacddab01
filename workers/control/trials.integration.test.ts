/** Trials: what a version of a policy that is not active would say, and why. In workerd. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Explanation } from '#policies/explain.ts';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  testKey,
} from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({
    seed: false,
    backendCount: 2,
    modelOf: (index) => ['scripted', 'bare'][index]!,
    probeOf: () => ({}),
    scoresOf: (index) => [{ reward: 1.5, cost: -2 }, null][index]!,
    limits: { small: { tokens_per_day: 1000 } },
  });
  backend = under.backends[0]!;
  const ramp = { from: 0.5, full: 0.9 };
  const put = await fetch(`${under.edge.url}/admin/v1/tenants/shop`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    body: JSON.stringify({
      name: 'Shop',
      policy: { floor: 0.2, budget: null, trace: 'none' },
      keys: [
        { id: 'client', sha256: sha256('pk-client') },
        { id: 'owner', sha256: sha256('pk-owner'), scopes: ['admin', 'inference'], policy: { floor: 0.6 } },
        { id: 'clerk', sha256: sha256('pk-clerk'), scopes: ['admin'] },
        { id: 'reader', sha256: sha256('pk-reader'), scopes: ['read'] },
      ],
    }),
  });
  expect(put.status).toBe(200);
  strict = await draft({
    floor: 0.7,
    budget: 5,
    trace: 'none',
    categories: { violence: { floor: 0.9, ramp }, hate: { action: 'refuse', ramp } },
  });
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.probe = {};
  backend.seen.length = 0;
});

let strict: string;
async function draft(policy: object, tenant = 'shop'): Promise<string> {
  const made = await post(under.edge, `/admin/v1/tenants/${tenant}/policies`, { policy }, OPERATOR_KEY);
  return ((await made.json()) as { version: string }).version;
}
type Answer = {
  status: number;
  headers: Headers;
  body: ChatCompletion & ErrorBody & Explanation & { second_look: unknown };
};
async function trial(
  route: 'try' | 'explain',
  body: object,
  { key = OPERATOR_KEY, version = strict, tenant = 'shop' } = {},
) {
  const answer = await post(under.edge, `/admin/v1/tenants/${tenant}/policies/${version}/${route}`, body, key);
  // The tests read what the schemas promise.
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Answer['body'] } as Answer;
}

test('a draft answers a prompt under its own line, while clients stay under the active version', async () => {
  expect((await trial('try', { ...ask('Hi'), seed: 7 })).status).toBe(200);
  const { directive } = backend.seen.at(-1)!;
  expect(directive).toMatchObject({ tenant: 'shop', key: 'trial:operator', line: { floor: 0.7, budget: 5 } });
  await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), seed: 7 }, 'pk-client');
  expect(backend.seen.at(-1)!.directive).toMatchObject({ key: 'client', line: { floor: 0.2, budget: null } });
  const refused = await trial('try', ask('[[hate=0.95]]'));
  expect([refused.status, refused.body.error.code]).toEqual([403, 'policy_refused']);
});

test('the policy of the key that asks holds too, and a trial needs the scope admin', async () => {
  await trial('try', ask('Hi'), { key: 'pk-owner', version: await draft({ floor: 0.1, budget: 3 }) });
  expect(backend.seen.at(-1)!.directive).toMatchObject({ key: 'trial:key:owner', line: { floor: 0.6, budget: 3 } });
  for (const key of ['pk-reader', 'pk-client']) {
    const { status, body } = await trial('try', ask('Hi'), { key });
    expect([status, body.error.code]).toEqual([403, 'permission_denied']);
  }
  expect((await trial('try', ask('Hi'), { key: testKey('small') })).status).toBe(403);
  expect((await trial('try', ask('Hi'), { version: 'f'.repeat(32) })).status).toBe(404);
});

test('what costs tokens needs the scope inference too, and a key with admin alone may ask all the rest', async () => {
  const { messages } = ask('Hi');
  const call = async (route: string, body: object, key: string) => {
    const answer = await post(under.edge, `/admin/v1/tenants/shop/${route}`, body, key);
    const { error } = (await answer.json()) as Partial<ErrorBody>;
    return [answer.status, error?.code];
  };
  const costly = [
    [`policies/${strict}/try`, ask('Hi')],
    [`policies/${strict}/explain`, { messages, model: 'scripted' }],
    ['score', { ...ask('Hi'), answer: 'Hello.' }],
  ] as const;
  for (const [route, body] of costly) {
    expect(await call(route, body, 'pk-clerk'), route).toEqual([403, 'permission_denied']);
    expect(await call(route, body, 'pk-owner'), route).toEqual([200, undefined]);
  }
  expect(backend.seen.map(({ directive }) => directive.key)).toEqual(['trial:key:owner', 'trial:key:owner']);
  expect(await call(`policies/${strict}/explain`, { messages }, 'pk-clerk')).toEqual([200, undefined]);
  expect(await call(`policies/${strict}/explain`, { messages, look: {} }, 'pk-clerk')).toEqual([200, undefined]);
});

test('the plan holds over a trial, and nothing is answered in the name of a tenant that is suspended', async () => {
  const change = (method: string, route: string, json: object) =>
    fetch(`${under.edge.url}/admin/v1${route}`, {
      method,
      headers: { authorization: `Bearer ${OPERATOR_KEY}`, 'if-match': '*' },
      body: JSON.stringify(json),
    });
  expect((await change('PUT', '/plans/firm', { name: 'Firm', policy: { floor: 0.55, budget: 9 } })).status).toBe(200);
  const planned = { name: 'Planned', plan: 'firm', policy: { floor: 0.9, budget: 1 }, keys: [] };
  expect((await change('PUT', '/tenants/planned', planned)).status).toBe(200);
  const there = { tenant: 'planned', version: await draft({ floor: 0.1, budget: null }, 'planned') };
  expect((await trial('try', ask('Hi'), there)).status).toBe(200);
  expect(backend.seen.at(-1)!.directive).toMatchObject({ tenant: 'planned', line: { floor: 0.55, budget: 9 } });
  expect((await change('POST', '/tenants/planned/suspend', {})).status).toBe(200);
  const { status, body } = await trial('try', ask('Hi'), there);
  expect([status, body.error.code]).toEqual([403, 'tenant_suspended']);
});

test('a trial goes through the tenant’s account, under the limits of the version that it tries', async () => {
  const version = await draft({ floor: 0, budget: null, limits: { tokens_per_minute: 100 } }, 'small');
  const first = await trial('try', { ...ask('Hi'), max_tokens: 20 }, { tenant: 'small', version });
  expect([first.status, first.headers.get('x-ratelimit-limit-tokens')]).toEqual([200, '100']);
  // Each may cost the whole context of 64 tokens.
  const codes = new Set<string>();
  for (let i = 0; i < 4; i++) {
    const { body } = await trial('try', ask(`Hi ${i}`), { tenant: 'small', version });
    codes.add(body.error?.code ?? 'answered');
  }
  expect(codes).toEqual(new Set(['answered', 'rate_limit_exceeded']));
});

test('a version without limits is tried under those of the active one', async () => {
  const json = { name: 'Thrifty', policy: { floor: 0, budget: null, limits: { requests_per_minute: 1 } }, keys: [] };
  const made = await fetch(`${under.edge.url}/admin/v1/tenants/thrifty`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    body: JSON.stringify(json),
  });
  expect(made.status).toBe(200);
  const there = { tenant: 'thrifty', version: await draft({ floor: 0, budget: null }, 'thrifty') };
  expect((await trial('try', ask('Hi'), there)).status).toBe(200);
  const second = await trial('try', ask('Hi'), there);
  expect([second.status, second.body.error.code]).toEqual([429, 'rate_limit_exceeded']);
});

test('an explanation says what fired at the edge and which level set each bound', async () => {
  const { status, body } = await trial('explain', {
    messages: ask('[[violence=0.95]]').messages,
    plimsoll: { budget: 2 },
  });
  expect(status).toBe(200);
  expect(body).toMatchObject({
    verdict: { action: 'answer', line: { floor: 0.9, budget: 2 } },
    fired: expect.arrayContaining([
      { signal: 'violence', look: 'edge', probability: 0.95, force: 1, levels: expect.arrayContaining(['tenant']) },
    ]),
    directive: { line: { floor: 0.9 }, second_look: { base: 0.7 } },
    second_look: null,
    signals: { violence: 0.95, unread: 0 },
  });
  const setBy = (name: string) => body.bounds.find(({ bound }) => bound === name)?.set_by.map(({ level }) => level);
  expect([setBy('floor'), setBy('budget')]).toEqual([['tenant', 'tenant'], ['request']]);
  expect(backend.seen).toEqual([]);
});

test('with a model, a backend is asked for its second look, even if the policy tells clients nothing', async () => {
  backend.probe = { violence: 0.9 };
  const { body } = await trial('explain', { messages: ask('Hi').messages, model: 'scripted' });
  expect(body).toMatchObject({
    verdict: { action: 'answer', line: { floor: 0.9 } },
    directive: { line: { floor: 0.7 } },
    fired: [{ signal: 'violence', look: 'backend', probability: 0.9 }],
    second_look: { tightened: true, because: 'violence' },
  });
  expect(backend.seen.map(({ request }) => request.max_tokens)).toEqual([1]);
  const refused = await trial('explain', { messages: ask('[[hate=0.95]]').messages, model: 'scripted' });
  expect(refused.body).toMatchObject({
    verdict: { action: 'refuse', because: 'hate' },
    directive: null,
    second_look: null,
  });
  expect(backend.seen).toHaveLength(1);
});

test('an explanation reads calls of tools as the gateway does, and a backend is asked about them', async () => {
  const messages = (text: string) => {
    const call = { name: 'write', arguments: JSON.stringify({ text }) };
    const tool_calls = [{ id: 'a', type: 'function', function: call }];
    const called = { role: 'assistant', content: null, tool_calls };
    return [...ask('Hi').messages, called, { role: 'tool', tool_call_id: 'a', content: 'done' }, ...ask('Go').messages];
  };
  const refused = { messages: messages('[[hate=0.95]]') };
  expect((await trial('try', { ...ask(''), ...refused })).body.error.code).toBe('policy_refused');
  expect((await trial('explain', refused)).body).toMatchObject({ verdict: { action: 'refuse', because: 'hate' } });
  const asked = { messages: messages('[[violence=0.95]]'), model: 'scripted' };
  const { status, body } = await trial('explain', asked);
  expect([status, body]).toMatchObject([200, { verdict: { line: { floor: 0.9 } }, second_look: { tightened: false } }]);
  expect(backend.seen.at(-1)!.request.messages).toMatchObject([
    ...[{}, { tool_calls: [{ name: 'write', arguments: '{"text":"[[violence=0.95]]"}' }] }, { content: 'done' }, {}],
  ]);
});

test('a look that is given stands in for a backend’s, and both at once are refused', async () => {
  const { messages } = ask('Hi');
  const { body } = await trial('explain', { messages, look: { hate: 0.99 } });
  expect(body).toMatchObject({ verdict: { action: 'refuse', because: 'hate' }, second_look: null });
  const both = await trial('explain', { messages, look: {}, model: 'scripted' });
  expect([both.status, both.body.error.message]).toEqual([400, expect.stringContaining('not both')]);
});

test('a model’s heads judge an answer, and their reading is charged', async () => {
  const score = async (body: object, { tenant = 'shop', key = OPERATOR_KEY } = {}) => {
    const answer = await post(under.edge, `/admin/v1/tenants/${tenant}/score`, body, key);
    return { status: answer.status, body: (await answer.json()) as ErrorBody };
  };
  const asked = { ...ask('Hi'), answer: 'Hello.' };
  expect(await score(asked)).toEqual({
    status: 200,
    body: { object: 'score', model: 'scripted', bundle: 'b1', reward: 1.5, cost: -2, tokens: 12 },
  });
  expect(await score({ ...asked, model: 'bare' })).toMatchObject({
    status: 400,
    body: {
      error: {
        code: 'unsupported_value',
        message: expect.stringContaining("No backend of 'bare' has reward and cost heads"),
      },
    },
  });
  expect(await score({ ...asked, model: 'nobody' })).toMatchObject({ body: { error: { code: 'model_not_found' } } });
  expect((await score(asked, { key: 'pk-reader' })).status).toBe(403);

  // 12 tokens each time; the reservation is the whole context, 64.
  const json = { name: 'Poor', policy: { floor: 0, budget: null, limits: { tokens_per_day: 160 } }, keys: [] };
  const put = { method: 'PUT', headers: { authorization: `Bearer ${OPERATOR_KEY}` }, body: JSON.stringify(json) };
  expect((await fetch(`${under.edge.url}/admin/v1/tenants/poor`, put)).status).toBe(200);
  const outcomes = [];
  for (let i = 0; i < 12; i++) outcomes.push((await score(asked, { tenant: 'poor' })).status);
  expect(outcomes.filter((status) => status === 200).length).toBeGreaterThan(1);
  expect(outcomes.at(-1)).toBe(429);
});

test('a stored answer is replayed under another version, and only if its receipt holds', async () => {
  const loose = await draft({ floor: 0.2, budget: null });
  const request = { ...ask('Hi'), seed: 3, max_tokens: 6, plimsoll: { trace: 'tokens', top: 1 } };
  const answered = await post(under.edge, `/admin/v1/tenants/shop/policies/${loose}/try`, request, OPERATOR_KEY);
  const answer = await answered.text();
  const replayed = async (version: string, changed: { answer?: string; tenant?: string; request?: object } = {}) => {
    const body = { request: JSON.stringify(changed.request ?? request), answer: changed.answer ?? answer };
    const route = `/admin/v1/tenants/${changed.tenant ?? 'shop'}/policies/${version}/replay`;
    const sent = await post(under.edge, route, body, OPERATOR_KEY);
    return (await sent.json()) as Record<string, unknown> & ErrorBody;
  };
  const { tokens: traced } = (JSON.parse(answer) as ChatCompletion).plimsoll;
  expect(traced?.[0]?.top).toEqual([{ id: 100, lp: -1, lp_s: -1.5, lp_h: -0.5 }]);
  const none = { could: null, surely: null, exact: true };
  expect(await replayed(loose)).toMatchObject({
    object: 'policy.replay',
    ...none,
    redraws: false,
    tokens: 6,
    notes: [],
  });
  const half = await draft({ floor: 0.2, budget: null, opening: { tokens: 3, floor: 1 } });
  expect(await replayed(half)).toMatchObject({
    could: { token: 0, why: expect.stringMatching(/safety weight was .* and is 1 under the policy/) },
    redraws: true,
    before: { floor: 0.2 },
    after: { opening: { tokens: 3, floor: 1 } },
  });
  const short = await draft({ floor: 0.2, budget: null, limits: { max_tokens: 4 } });
  const cut = { token: 4, why: expect.stringContaining('after 4 tokens') };
  expect(await replayed(short)).toMatchObject({ could: cut, surely: cut, exact: true });
  const never = await draft({ floor: 0.2, budget: null, action: 'refuse' });
  expect(await replayed(never)).toMatchObject({ surely: { token: 0 }, exact: true, after: null });

  const why = async (changed: Parameters<typeof replayed>[1]) => (await replayed(loose, changed)).error.message;
  expect(await why({ answer: answer.replace(/"content":"/, '"content":"No. ') })).toMatch(
    /receipt does not hold \(answer:/,
  );
  expect(await why({ request: { ...request, ...ask('Bye') } })).toMatch(/receipt does not hold \(prompt:/);
  const { plimsoll, ...rest } = JSON.parse(answer) as ChatCompletion;
  const { tokens: _, ...summary } = plimsoll;
  expect(await why({ answer: JSON.stringify({ ...rest, plimsoll: summary }) })).toMatch(
    /found 0 tokens .* wanted all 6/,
  );
  expect(await why({ answer: answer.replaceAll('"weight":0.5', '"weight":0.6') })).toMatch(/not those of its receipt/);
  expect(await why({ answer: '{}' })).toMatch(/not a stored chat completion/);
  const other = await draft({ floor: 0.2, budget: null }, 'small');
  expect((await replayed(other, { tenant: 'small' })).error.message).toMatch(/answer to another tenant/);
});

test('a replay says that the draws change with the rules of the second look, though the line be the same', async () => {
  const ramp = { from: 0.5, full: 0.9 };
  const ruled = (floor: number) => draft({ floor: 0.2, budget: null, categories: { violence: { floor, ramp } } });
  const [mild, firm] = [await ruled(0.6), await ruled(0.9)];
  const bare = await draft({ floor: 0.2, budget: null });
  const tight = await draft({ floor: 0.9, budget: null });
  const request = JSON.stringify({ ...ask('Hi'), seed: 3, max_tokens: 6, plimsoll: { trace: 'tokens' } });
  const route = (version: string) => `/admin/v1/tenants/shop/policies/${version}`;
  const answerUnder = async (version: string, sent = request) =>
    (await post(under.edge, `${route(version)}/try`, sent, OPERATOR_KEY)).text();
  const redraws = async (version: string, answer: string, sent = request) => {
    const found = await post(under.edge, `${route(version)}/replay`, { request: sent, answer }, OPERATOR_KEY);
    return ((await found.json()) as { redraws: boolean | null }).redraws;
  };
  const quiet = await answerUnder(firm);
  expect(await redraws(firm, quiet)).toBe(false);
  // The same line all the same, but the rules are part of the draws' key.
  expect(await redraws(bare, quiet)).toBe(true);
  expect(await redraws(mild, quiet)).toBe(true);
  expect(await redraws(tight, quiet)).toBe(true);
  expect(await redraws(firm, await answerUnder(bare))).toBe(true);

  backend.probe = { violence: 0.95 };
  const tightened = await answerUnder(firm);
  expect(await redraws(firm, tightened)).toBe(false);
  // This one signs the line that the other has been tightened to, and draws from it otherwise.
  expect(await redraws(tight, tightened)).toBe(true);
  expect(await redraws(mild, tightened)).toBe(true);

  const greedy = JSON.stringify({ ...(JSON.parse(request) as object), temperature: 0 });
  expect(await redraws(bare, await answerUnder(firm, greedy), greedy)).toBe(false);

  // An older receipt does not say what was signed.
  const { plimsoll, ...rest } = JSON.parse(tightened) as ChatCompletion;
  const { iss: _iss, iat: _iat, signed_line: _signed, ...old } = decodeJwt(plimsoll.receipt!);
  // The cast: a receipt's claims, without one that may be missing.
  const receipt = await signReceipt(old as unknown as Receipt, under.receiptKey);
  expect(await redraws(mild, JSON.stringify({ ...rest, plimsoll: { ...plimsoll, receipt } }))).toBeNull();
});

test('a replay does not believe a trace whose floors are not those of the line', async () => {
  const version = await draft({ floor: 0.2, budget: null });
  const request = JSON.stringify({ ...ask('Hi'), seed: 3, max_tokens: 6, plimsoll: { trace: 'tokens' } });
  const route = `/admin/v1/tenants/shop/policies/${version}`;
  const answer = await (await post(under.edge, `${route}/try`, request, OPERATOR_KEY)).text();
  const changed = answer.replaceAll('"floor":0.2,"lp_s"', '"floor":0.1,"lp_s"');
  expect(changed).not.toBe(answer);
  const found = await post(under.edge, `${route}/replay`, { request, answer: changed }, OPERATOR_KEY);
  expect(((await found.json()) as ErrorBody).error.message).toMatch(/not those of the line in its receipt/);
});

test('an answer that ended by itself is replayed though only the policy named a limit of tokens', async () => {
  const version = await draft({ floor: 0.2, budget: null, limits: { max_tokens: 40 } });
  const request = { ...ask('Hi'), seed: 3, plimsoll: { trace: 'tokens' } };
  const route = `/admin/v1/tenants/shop/policies/${version}`;
  const answer = await (await post(under.edge, `${route}/try`, request, OPERATOR_KEY)).text();
  expect((JSON.parse(answer) as ChatCompletion).choices[0].finish_reason).toBe('stop');
  const replayed = await post(
    under.edge,
    `${route}/replay`,
    { request: JSON.stringify(request), answer },
    OPERATOR_KEY,
  );
  expect([replayed.status, await replayed.json()]).toEqual([
    200,
    expect.objectContaining({ could: null, surely: null, exact: true, redraws: false }),
  ]);
});

test('the likeliest tokens are told with the trace of tokens only, and if the policy allows log-probabilities', async () => {
  const asked = (plimsoll: object) => ({ ...ask('Hi'), plimsoll });
  const loose = { floor: 0, budget: null };
  const whole = { version: await draft(loose) };
  const shy = {
    version: await draft({ ...loose, shaping: { n: null, logprobs: false, bias: true, penalties: true } }),
  };
  const codeOf = async (...call: Parameters<typeof trial>) => (await trial(...call)).body.error?.code;
  expect(await codeOf('try', asked({ top: 2 }), whole)).toBe('invalid_value');
  expect(await codeOf('try', asked({ trace: 'tokens', top: 21 }), whole)).toBe('integer_above_max_value');
  expect(await codeOf('try', asked({ trace: 'tokens', top: 2 }), shy)).toBe('permission_denied');
  expect(await codeOf('try', asked({ trace: 'tokens', top: 2 }), whole)).toBeUndefined();
  expect(backend.seen.at(-1)!.request).toMatchObject({ expert_logprobs: true, logprobs: true, top_logprobs: 2 });
});
