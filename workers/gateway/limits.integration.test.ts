/**
 * A tenant's limits at the front door, in the real runtime, with the account's clock set by tests.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import type { Limits } from '../objects/tenant-account-contract.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
  testKey,
} from '../testing/edge-under-test.ts';
import type { AccountCall } from '../testing/worker/account-call.ts';

/** One tenant for each test, so that none spends what another needs. */
const TENANTS = {
  requests: { requests_per_minute: 2 },
  tokens: { tokens_per_minute: 250 },
  day: { tokens_per_day: 250 },
  month: { tokens_per_month: 150 },
  streams: { concurrent_streams: 1 },
  tries: { tries_per_prompt_per_minute: 2 },
  tiny: { tokens_per_day: 5 },
  cut: { tokens_per_day: 10_000 },
  race: { tokens_per_day: 1_000 },
  lost: { requests_per_minute: 100 },
  grows: { tokens_per_day: 165 },
  stuck: { tokens_per_day: 159 },
  crash: { requests_per_minute: 2, concurrent_streams: 1 },
  long: { concurrent_streams: 1 },
  again: { tokens_per_day: 10_000 },
  grown: { tokens_per_day: 250 },
  both: { tokens_per_day: 450, tokens_per_minute: 300 },
  shared: {},
  asleep: { tokens_per_day: 10_000 },
  free: {},
} satisfies Record<string, Partial<Limits>>;
type Tenant = keyof typeof TENANTS;
const keyOf = (tenant: Tenant) => testKey(tenant);

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ limits: TENANTS, contextOf: () => 200 });
});
afterAll(() => under.dispose());

async function callAccount(tenant: Tenant, call: AccountCall['call'], argument: AccountCall['argument']) {
  const body: AccountCall = { tenant, call, argument };
  const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body: JSON.stringify(body) });
  // The cast: `rows` returns them, and nobody reads what the others return.
  return (answer.ok ? await answer.json() : []) as Record<string, unknown>[];
}
const accountOf = (tenant: Tenant) => ({
  advance: (ms: number) => callAccount(tenant, 'advance', ms),
  fail: (calls: number) => callAccount(tenant, 'fail', calls),
  forget: () => callAccount(tenant, 'forget', 0),
  crash: () => callAccount(tenant, 'crash', 0),
  rows: (query: string) => callAccount(tenant, 'rows', query),
  // The cast: `ring` returns a moment, or null.
  ring: async () => (await callAccount(tenant, 'ring', 0)) as unknown as number | null,
});
const chat = (tenant: Tenant, body: object = {}, headers: Record<string, string> = {}) =>
  fetch(`${under.edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf(tenant)}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...ask('Hi'), ...body }),
  });
async function errorOf(answer: Response): Promise<ErrorBody['error'] & { status: number }> {
  return { ...((await answer.json()) as ErrorBody).error, status: answer.status };
}
async function ok(answer: Response): Promise<Headers> {
  expect(await answer.text()).not.toContain('"error"');
  expect(answer.status).toBe(200);
  return answer.headers;
}
/** What the account holds, once nothing is under way any more. */
async function charges(tenant: Tenant) {
  const account = accountOf(tenant);
  const read = () => account.rows('SELECT id, state, tokens, key, model FROM charges ORDER BY at, id');
  for (;;) {
    const rows = await read();
    if (rows.every(({ state }) => state !== 'open')) return rows;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const tokensOf = async (tenant: Tenant) => (await charges(tenant)).map(({ tokens }) => tokens);
/** The scripted answer, with the prompt 'Hi'. */
const COST = 14;

test('an answer says how much of the minute is left, in the headers of OpenAI', async () => {
  const headers = await ok(await chat('requests'));
  expect(Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-ratelimit')))).toEqual({
    'x-ratelimit-limit-requests': '2',
    'x-ratelimit-remaining-requests': '1',
    'x-ratelimit-reset-requests': '1m0s',
  });
});

test('a request over the limit is told how long to wait, and that is true', async () => {
  await ok(await chat('requests'));
  const refused = await chat('requests');
  expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
  const waitMs = Number(refused.headers.get('retry-after-ms'));
  expect(Number(refused.headers.get('retry-after'))).toBe(Math.ceil(waitMs / 1000));
  expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'rate_limit_error' });
  // A machine under load may take seconds over this, but not ten.
  const account = accountOf('requests');
  await account.advance(waitMs - 10_000);
  expect((await chat('requests')).status).toBe(429);
  await account.advance(10_000);
  await ok(await chat('requests'));
});

test('tokens are reserved before, and what was not needed is there again after', async () => {
  // 'Hi' may take 2 bytes and what a template adds, and the answer 100 tokens: more than half.
  const headers = await ok(await chat('tokens', { max_tokens: 100 }));
  expect(headers.get('x-ratelimit-limit-tokens')).toBe('250');
  expect(headers.get('x-ratelimit-remaining-tokens')).toBe('68');
  expect(await tokensOf('tokens')).toEqual([COST]);
  for (let i = 0; i < 3; i++) await ok(await chat('tokens', { max_tokens: 100 }));
  expect(await tokensOf('tokens')).toEqual([COST, COST, COST, COST]);
});

test.each([
  ['day', 24],
  ['month', 24 * 31],
] as const)('what is spent for the %s is spent until UTC says so', async (tenant, mostHours) => {
  for (;;) {
    const answer = await chat(tenant, { max_tokens: 50 });
    if (answer.status !== 200) {
      expect(await errorOf(answer)).toMatchObject({
        status: 429,
        code: 'insufficient_quota',
        type: 'insufficient_quota',
      });
      expect(answer.headers.get('x-should-retry')).toBe('false');
      const waitMs = Number(answer.headers.get('retry-after-ms'));
      expect(waitMs).toBeLessThanOrEqual(mostHours * 3_600_000);
      const next = new Date(Date.now() + waitMs + 1_000);
      expect([next.getUTCHours(), next.getUTCMinutes()]).toEqual([0, 0]);
      await accountOf(tenant).advance(waitMs);
      await ok(await chat(tenant, { max_tokens: 50 }));
      break;
    }
    await ok(answer);
    await charges(tenant);
  }
});

test('answers at once are limited, until one of them ends', async () => {
  under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('streams', { stream: true });
  const refused = await chat('streams', { stream: true });
  expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  expect(refused.headers.get('retry-after')).toBeNull();
  under.backends[0]!.behaviour = 'answer';
  await first.body?.cancel();
  await charges('streams');
  await ok(await chat('streams', { stream: true }));
});

test('one prompt may be tried so often, whatever its seed, its capitals and its spaces', async () => {
  await ok(await chat('tries', { seed: 1, ...ask('How are  you?') }));
  await ok(await chat('tries', { seed: 2, temperature: 1.5, ...ask('how are you? ') }));
  expect(await errorOf(await chat('tries', { seed: 3, ...ask('HOW ARE YOU?') }))).toMatchObject({
    code: 'rate_limit_exceeded',
    message: expect.stringMatching(/tries of one prompt per minute/),
  });
  await ok(await chat('tries', ask('And you?')));
});

test('a request that is larger than the limit is told that no wait helps', async () => {
  const refused = await chat('tiny');
  expect([refused.headers.get('retry-after'), refused.headers.get('x-should-retry')]).toEqual([null, 'false']);
  expect((await errorOf(refused)).message).toMatch(/No wait will help/);
  expect(under.backends[0]!.seen.some(({ directive }) => directive.tenant === 'tiny')).toBe(false);
});

describe('what was really spent is charged', () => {
  const last = async () => (await tokensOf('cut')).at(-1);

  test.each<[string, object, number | 'some']>([
    ['for a whole answer', {}, COST],
    ['for a stream', { stream: true }, COST],
    ['for an answer that max_tokens ends', { max_tokens: 3 }, 4],
    ['nothing for a prompt that the policy refuses', { plimsoll: { mode: 'layers' } }, 0],
  ])('%s', async (_name, body, tokens) => {
    await (await chat('cut', body)).text();
    expect(await last()).toBe(tokens);
  });

  test('nothing if no backend takes the request', async () => {
    under.backends[0]!.behaviour = 'refuse-overloaded';
    expect((await chat('cut')).status).toBe(503);
    under.backends[0]!.behaviour = 'answer';
    expect(await last()).toBe(0);
  });

  test.each(['die-for-good-midway', 'stall-for-good-midway'] as const)(
    'up to where it broke, if nobody goes on: %s',
    async (behaviour) => {
      under.backends[0]!.behaviour = behaviour;
      expect(await (await chat('cut', { stream: true })).text()).toContain('"error"');
      under.backends[0]!.behaviour = 'answer';
      expect(await last()).toBe(1 + 3);
    },
  );

  test.each(['die-midway', 'error-midway'] as const)(
    'once if it goes on in parts, for all of them: %s',
    async (behaviour) => {
      const before = (await charges('cut')).length;
      under.backends[0]!.behaviour = behaviour;
      const answer = await chat('cut');
      // The cast: the test is about whether it is one.
      const { plimsoll } = (await answer.json()) as { plimsoll: { receipt: string } };
      under.backends[0]!.behaviour = 'answer';
      const { parts, usage } = await verifyReceipt(plimsoll.receipt, under.receiptKey.jwks);
      expect(parts.map(({ from, to }) => to - from)).toEqual([3, 3, 3, 3, 1]);
      expect(usage.total_tokens).toBe(COST);
      expect(await last()).toBe(COST);
      expect(await charges('cut')).toHaveLength(before + 1);
    },
  );

  test('up to where the client left', async () => {
    under.backends[0]!.behaviour = 'answer-forever';
    const answer = await chat('cut', { stream: true });
    const reader = answer.body!.getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    await reader.cancel();
    under.backends[0]!.behaviour = 'answer';
    const spent = Number(await last());
    expect(spent).toBeGreaterThan(3);
    expect(spent).toBeLessThan(200);
  });

  test('to the tenant, the key and the model', async () => {
    expect((await charges('cut')).every(({ key, model }) => key === 'main' && model === 'scripted')).toBe(true);
  });
});

describe('a prompt that has more tokens than the edge thought possible', () => {
  // Reserved are 2 bytes, what a template may add, and the answer: 92.
  const body = { max_tokens: 10 };

  test('is answered if there is room for it, and charged in full', async () => {
    under.backends[0]!.behaviour = 'count-many';
    await ok(await chat('grows', body));
    under.backends[0]!.behaviour = 'answer';
    expect(await tokensOf('grows')).toEqual([160]);
  });

  test('else gets no token, and is charged no more than was reserved', async () => {
    under.backends[0]!.behaviour = 'count-many';
    const { aborted } = under.backends[0]!;
    expect(await errorOf(await chat('stuck', body))).toMatchObject({
      status: 429,
      code: 'insufficient_quota',
      // The prompt alone would fit.
      message:
        'The limit on tokens per day is reached: it is 159, 92 are in use, and this request may need 68 more: its prompt has 150 tokens.',
    });
    under.backends[0]!.behaviour = 'answer';
    expect(await tokensOf('stuck')).toEqual([92]);
    expect(under.backends[0]!.aborted).toBeGreaterThanOrEqual(aborted);
  });
});

test('an account that crashes in the middle of an answer forgets nothing', async () => {
  under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('crash', { stream: true });
  await accountOf('crash').crash();
  expect((await errorOf(await chat('crash'))).message).toMatch(/answers at once/);
  await first.body?.cancel();
  under.backends[0]!.behaviour = 'answer';
  const [charged] = await tokensOf('crash');
  expect(Number(charged)).toBeGreaterThan(0);
  await ok(await chat('crash'));
  expect((await errorOf(await chat('crash'))).message).toMatch(/requests per minute/);
});

test('an answer that goes on for long keeps its lease', async () => {
  under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('long', { stream: true });
  const account = accountOf('long');
  for (let i = 0; i < 4; i++) {
    await account.advance(50_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  expect((await chat('long')).status).toBe(429);
  await first.body?.cancel();
  await charges('long');
  under.backends[0]!.behaviour = 'answer';
  await ok(await chat('long'));
});

test.each([
  ['grown', 'tokens per day', 'insufficient_quota', 250],
  ['both', 'tokens per minute', 'rate_limit_exceeded', 300],
] as const)(
  'an answer that is longer than the edge thought possible ends where the budget does: %s',
  async (tenant, name, code, most) => {
    // As when a backend's context has grown since the edge last heard of it. 200 tokens are
    // reserved.
    under.backends[0]!.behaviour = 'answer-forever';
    const reader = (await chat(tenant, { stream: true })).body!.getReader();
    let text = '';
    for (let pieces = 0; pieces < 600; pieces++) {
      const { done, value } = await reader.read();
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    await reader.cancel();
    under.backends[0]!.behaviour = 'answer';
    expect(text).toContain(`"code":"${code}"`);
    expect(text).toContain(`The limit on ${name} is reached: it is ${most}, ${most} are in use`);
    expect(text).not.toContain('[DONE]');
    expect(await tokensOf(tenant)).toEqual([most]);
  },
);

test("under the limits of a key's own policy, requests of the tenant's other keys count, while they run", async () => {
  const admin = adminClient(under.edge.url, OPERATOR_KEY).tenants[':id'];
  const json = { policy: { limits: { concurrent_streams: 1 } } };
  const { key } = await (await admin.keys.$post({ param: { id: 'shared' }, json })).json();
  const withKey = () => post(under.edge, '/v1/chat/completions', ask('Hi'), key);
  await ok(await withKey());
  under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('shared', { stream: true });
  expect(await errorOf(await withKey())).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  await first.body?.cancel();
  under.backends[0]!.behaviour = 'answer';
});

test('an account with nothing left to do sleeps until it is asked again', async () => {
  await ok(await chat('asleep'));
  await charges('asleep');
  const account = accountOf('asleep');
  // What was settled is kept for a while, and somebody has to drop it then.
  expect(await account.ring()).toBeGreaterThan(Date.now());
  await account.advance(25 * 3_600_000);
  await expect.poll(() => account.ring()).toBeNull();
  expect(await account.rows('SELECT * FROM charges')).toEqual([]);
});

test('requests at the same time cannot spend a budget twice', async () => {
  // Each may cost 182, so 1,000 has room for five of them at once.
  const before = under.backends[0]!.seen.length;
  under.backends[0]!.behaviour = 'answer-slowly';
  const answers = await Promise.all(Array.from({ length: 30 }, () => chat('race', { max_tokens: 100 })));
  under.backends[0]!.behaviour = 'answer';
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(25);
  expect(under.backends[0]!.seen.length - before).toBe(5);
  await Promise.all(answers.map((answer) => answer.text()));
  expect(await tokensOf('race')).toEqual(Array(5).fill(COST));
});

describe('an account that cannot be reached', () => {
  test('for a moment costs nothing but a second try', async () => {
    const account = accountOf('lost');
    await account.fail(1);
    await ok(await chat('lost'));
    expect(await tokensOf('lost')).toEqual([COST]);
  });

  test('means that nothing is answered', async () => {
    const account = accountOf('lost');
    await account.fail(2);
    const before = under.backends[0]!.seen.length;
    const refused = await chat('lost');
    expect(await errorOf(refused)).toMatchObject({ status: 503, code: 'backend_unavailable' });
    expect(under.backends[0]!.seen.length).toBe(before);
    expect(under.log.join('\n')).toContain('scripted failure');
  });

  test('before it has written the reservation gives no token away', async () => {
    await accountOf('lost').forget();
    const refused = await chat('lost', { stream: true });
    const text = await refused.text();
    expect(text).toContain('backend_unavailable');
    expect(text).not.toContain('"choices"');
    expect((await charges('lost')).every(({ state }) => state === 'settled')).toBe(true);
  });

  test('when an answer ends is told again', async () => {
    const account = accountOf('free');
    await account.fail(1);
    await ok(await chat('free'));
    await eventually(
      () => account.rows('SELECT * FROM charges'),
      () => true,
    );
    for (let i = 0; i < 100 && (await tokensOf('free')).length === 0; i++) await new Promise((r) => setTimeout(r, 50));
    expect(await tokensOf('free')).toEqual([COST]);
  });
});

describe('an Idempotency-Key', () => {
  const again = (body: object = {}) => chat('again', body, { 'idempotency-key': 'one' });

  test('makes a repeat cost nothing, and draw the same', async () => {
    const seeds = [];
    for (let i = 0; i < 2; i++) {
      await ok(await again());
      await charges('again');
      seeds.push(under.backends[0]!.seen.at(-1)!.request.seed);
    }
    expect((await tokensOf('again')).toSorted()).toEqual([0, COST]);
    expect(seeds[0]).toBe(seeds[1]);
  });

  test('with another body is an error, and so is one that is too long', async () => {
    expect(await errorOf(await again({ seed: 7 }))).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
      param: 'Idempotency-Key',
    });
    const long = await chat('again', {}, { 'idempotency-key': 'x'.repeat(256) });
    expect(await errorOf(long)).toMatchObject({ status: 400, param: 'Idempotency-Key' });
  });

  test('whose first request is under way has to wait', async () => {
    under.backends[0]!.behaviour = 'answer-forever';
    const header = { 'idempotency-key': 'two' };
    const first = await chat('again', { stream: true }, header);
    expect(await errorOf(await chat('again', { stream: true }, header))).toMatchObject({
      status: 409,
      code: 'idempotency_key_in_use',
    });
    await first.body?.cancel();
    under.backends[0]!.behaviour = 'answer';
  });
});

test('neither a key nor a prompt nor an Idempotency-Key is in the account or in the log', async () => {
  const secret = 'a prompt that nobody else may read';
  await ok(await chat('again', ask(secret), { 'idempotency-key': 'a-secret-of-the-client' }));
  await ok(await chat('tries', ask(secret)));
  for (const tenant of ['again', 'tries'] as const) {
    const account = accountOf(tenant);
    const tables = ['charges', 'windows', 'idempotency', 'outbox', 'alerts', 'facts'];
    const rows = await Promise.all(tables.map((table) => account.rows(`SELECT * FROM ${table}`)));
    const held = JSON.stringify(rows) + under.log.join('\n');
    expect(rows[0]!.length).toBeGreaterThan(0);
    for (const text of [secret, sha256(secret), keyOf(tenant), sha256(keyOf(tenant)), 'a-secret-of-the-client']) {
      expect(held).not.toContain(text);
    }
  }
});

test('the client of OpenAI reads the errors as its own', async () => {
  const client = openaiClient(under.edge, keyOf('tiny'));
  await expect(client.chat.completions.create(ask('Hi'))).rejects.toMatchObject({
    status: 429,
    code: 'insufficient_quota',
  });
  await expect(post(under.edge, '/v1/chat/completions', ask('Hi'), keyOf('tiny'))).resolves.toMatchObject({
    status: 429,
  });
});
