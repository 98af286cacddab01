/**
 * A tenant's limits at the front door, in the real runtime, with the account's clock set by tests.
 */
import { expect, test } from 'vitest';
import { adminClient } from '../control/admin-client.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { ask, OPERATOR_KEY, openaiClient, post } from '../testing/edge-under-test.ts';
import { COST, errorOf, limitsBench, ok } from '../testing/limits-bench.ts';

/** One tenant for each test, so that none spends what another needs. */
const bench = limitsBench({
  requests: { requests_per_minute: 2 },
  tokens: { tokens_per_minute: 250 },
  day: { tokens_per_day: 250 },
  month: { tokens_per_month: 150 },
  streams: { concurrent_streams: 1 },
  tries: { tries_per_prompt_per_minute: 2 },
  tiny: { tokens_per_day: 5 },
  race: { tokens_per_day: 1_000 },
  again: { tokens_per_day: 10_000 },
  shared: {},
});
const { accountOf, chat, charges, tokensOf, keyOf } = bench;

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
  bench.under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('streams', { stream: true });
  const refused = await chat('streams', { stream: true });
  expect(await errorOf(refused)).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  expect(refused.headers.get('retry-after')).toBeNull();
  bench.under.backends[0]!.behaviour = 'answer';
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
  expect(bench.under.backends[0]!.seen.some(({ directive }) => directive.tenant === 'tiny')).toBe(false);
});

test("under the limits of a key's own policy, requests of the tenant's other keys count, while they run", async () => {
  const admin = adminClient(bench.under.edge.url, OPERATOR_KEY).tenants[':id'];
  const json = { policy: { limits: { concurrent_streams: 1 } } };
  const { key } = await (await admin.keys.$post({ param: { id: 'shared' }, json })).json();
  const withKey = () => post(bench.under.edge, '/v1/chat/completions', ask('Hi'), key);
  await ok(await withKey());
  bench.under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('shared', { stream: true });
  expect(await errorOf(await withKey())).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  await first.body?.cancel();
  bench.under.backends[0]!.behaviour = 'answer';
});

test('requests at the same time cannot spend a budget twice', async () => {
  // Each may cost 182, so 1,000 has room for five of them at once.
  const before = bench.under.backends[0]!.seen.length;
  bench.under.backends[0]!.behaviour = 'answer-slowly';
  const answers = await Promise.all(Array.from({ length: 30 }, () => chat('race', { max_tokens: 100 })));
  bench.under.backends[0]!.behaviour = 'answer';
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(25);
  expect(bench.under.backends[0]!.seen.length - before).toBe(5);
  await Promise.all(answers.map((answer) => answer.text()));
  expect(await tokensOf('race')).toEqual(Array(5).fill(COST));
});

test('neither a key nor a prompt nor an Idempotency-Key is in the account or in the log', async () => {
  const secret = 'a prompt that nobody else may read';
  await ok(await chat('again', ask(secret), { 'idempotency-key': 'a-secret-of-the-client' }));
  await ok(await chat('tries', ask(secret)));
  for (const tenant of ['again', 'tries'] as const) {
    const account = accountOf(tenant);
    const tables = ['charges', 'windows', 'idempotency', 'outbox', 'alerts', 'facts'];
    const rows = await Promise.all(tables.map((table) => account.rows(`SELECT * FROM ${table}`)));
    const held = JSON.stringify(rows) + bench.under.log.join('\n');
    expect(rows[0]!.length).toBeGreaterThan(0);
    for (const text of [secret, sha256(secret), keyOf(tenant), sha256(keyOf(tenant)), 'a-secret-of-the-client']) {
      expect(held).not.toContain(text);
    }
  }
});

test('the client of OpenAI reads the errors as its own', async () => {
  const client = openaiClient(bench.under.edge, keyOf('tiny'));
  await expect(client.chat.completions.create(ask('Hi'))).rejects.toMatchObject({
    status: 429,
    code: 'insufficient_quota',
  });
  await expect(post(bench.under.edge, '/v1/chat/completions', ask('Hi'), keyOf('tiny'))).resolves.toMatchObject({
    status: 429,
  });
});
