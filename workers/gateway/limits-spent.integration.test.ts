/**
 * What is charged for an answer, however it ends, and what becomes of an account that fails: in the
 * real runtime.
 */
import { describe, expect, test } from 'vitest';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { eventually } from '../testing/edge-under-test.ts';
import { COST, errorOf, limitsBench, ok } from '../testing/limits-bench.ts';

/** One tenant for each test, so that none spends what another needs. */
const bench = limitsBench({
  cut: { tokens_per_day: 10_000 },
  lost: { requests_per_minute: 100 },
  grows: { tokens_per_day: 165 },
  stuck: { tokens_per_day: 159 },
  crash: { requests_per_minute: 2, concurrent_streams: 1 },
  long: { concurrent_streams: 1 },
  again: { tokens_per_day: 10_000 },
  grown: { tokens_per_day: 250 },
  both: { tokens_per_day: 450, tokens_per_minute: 300 },
  asleep: { tokens_per_day: 10_000 },
  free: {},
});
const { accountOf, chat, charges, tokensOf } = bench;

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
    bench.under.backends[0]!.behaviour = 'refuse-overloaded';
    expect((await chat('cut')).status).toBe(503);
    bench.under.backends[0]!.behaviour = 'answer';
    expect(await last()).toBe(0);
  });

  test.each(['die-for-good-midway', 'stall-for-good-midway'] as const)(
    'up to where it broke, if nobody goes on: %s',
    async (behaviour) => {
      bench.under.backends[0]!.behaviour = behaviour;
      expect(await (await chat('cut', { stream: true })).text()).toContain('"error"');
      bench.under.backends[0]!.behaviour = 'answer';
      expect(await last()).toBe(1 + 3);
    },
  );

  test.each(['die-midway', 'error-midway'] as const)(
    'once if it goes on in parts, for all of them: %s',
    async (behaviour) => {
      const before = (await charges('cut')).length;
      bench.under.backends[0]!.behaviour = behaviour;
      const answer = await chat('cut');
      // The cast: the test is about whether it is one.
      const { plimsoll } = (await answer.json()) as { plimsoll: { receipt: string } };
      bench.under.backends[0]!.behaviour = 'answer';
      const { parts, usage } = await verifyReceipt(plimsoll.receipt, bench.under.receiptKey.jwks);
      expect(parts.map(({ from, to }) => to - from)).toEqual([3, 3, 3, 3, 1]);
      expect(usage.total_tokens).toBe(COST);
      expect(await last()).toBe(COST);
      expect(await charges('cut')).toHaveLength(before + 1);
    },
  );

  test('up to where the client left', async () => {
    bench.under.backends[0]!.behaviour = 'answer-forever';
    const answer = await chat('cut', { stream: true });
    const reader = answer.body!.getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    await reader.cancel();
    bench.under.backends[0]!.behaviour = 'answer';
    const spent = Number(await last());
    expect(spent).toBeGreaterThan(3);
    expect(spent).toBeLessThan(200);
  });

  test('to the tenant, the key and the model', async () => {
    expect((await charges('cut')).every(({ key, model }) => key === 'main' && model === 'scripted')).toBe(true);
  });
});

describe('with two backends', () => {
  const two = limitsBench({ asked: { tokens_per_day: 10_000 } }, { backendCount: 2 });

  test('a request that both were asked for is charged once', async () => {
    // The cast: the test is about which one has answered.
    const first = (await (await two.chat('asked')).json()) as { plimsoll: { backend: string } };
    const home = two.under.backends.find(({ name }) => name === first.plimsoll.backend)!;
    for (const { seen } of two.under.backends) seen.length = 0;
    home.behaviour = 'never-start';
    await ok(await two.chat('asked', { stream: true }));
    // The same request, under a directive of each one's own.
    const [one, other] = two.under.backends.flatMap(({ seen }) => seen.map(({ directive }) => directive));
    expect(one!.request).toBe(other!.request);
    expect(one!.id).not.toBe(other!.id);
    expect(await two.tokensOf('asked')).toEqual([COST, COST]);
  });
});

describe('a prompt that has more tokens than the edge thought possible', () => {
  // Reserved are 2 bytes, what a template may add, and the answer: 92.
  const body = { max_tokens: 10 };

  test('is answered if there is room for it, and charged in full', async () => {
    bench.under.backends[0]!.behaviour = 'count-many';
    await ok(await chat('grows', body));
    bench.under.backends[0]!.behaviour = 'answer';
    expect(await tokensOf('grows')).toEqual([160]);
  });

  test('else gets no token, and is charged no more than was reserved', async () => {
    bench.under.backends[0]!.behaviour = 'count-many';
    const { aborted } = bench.under.backends[0]!;
    expect(await errorOf(await chat('stuck', body))).toMatchObject({
      status: 429,
      code: 'insufficient_quota',
      // The prompt alone would fit.
      message:
        'The limit on tokens per day is reached: it is 159, 92 are in use, and this request may need 68 more: its prompt has 150 tokens.',
    });
    bench.under.backends[0]!.behaviour = 'answer';
    expect(await tokensOf('stuck')).toEqual([92]);
    expect(bench.under.backends[0]!.aborted).toBeGreaterThanOrEqual(aborted);
  });
});

test('an account that crashes in the middle of an answer forgets nothing', async () => {
  bench.under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('crash', { stream: true });
  await accountOf('crash').crash();
  expect((await errorOf(await chat('crash'))).message).toMatch(/answers at once/);
  await first.body?.cancel();
  bench.under.backends[0]!.behaviour = 'answer';
  const [charged] = await tokensOf('crash');
  expect(Number(charged)).toBeGreaterThan(0);
  await ok(await chat('crash'));
  expect((await errorOf(await chat('crash'))).message).toMatch(/requests per minute/);
});

test('an answer that goes on for long keeps its lease', async () => {
  bench.under.backends[0]!.behaviour = 'answer-forever';
  const first = await chat('long', { stream: true });
  const account = accountOf('long');
  for (let i = 0; i < 4; i++) {
    await account.advance(50_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  expect((await chat('long')).status).toBe(429);
  await first.body?.cancel();
  await charges('long');
  bench.under.backends[0]!.behaviour = 'answer';
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
    bench.under.backends[0]!.behaviour = 'answer-forever';
    const reader = (await chat(tenant, { stream: true })).body!.getReader();
    let text = '';
    for (let pieces = 0; pieces < 600; pieces++) {
      const { done, value } = await reader.read();
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    await reader.cancel();
    bench.under.backends[0]!.behaviour = 'answer';
    expect(text).toContain(`"code":"${code}"`);
    expect(text).toContain(`The limit on ${name} is reached: it is ${most}, ${most} are in use`);
    expect(text).not.toContain('[DONE]');
    expect(await tokensOf(tenant)).toEqual([most]);
  },
);

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
    const before = bench.under.backends[0]!.seen.length;
    const refused = await chat('lost');
    expect(await errorOf(refused)).toMatchObject({ status: 503, code: 'backend_unavailable' });
    expect(bench.under.backends[0]!.seen.length).toBe(before);
    expect(bench.under.log.join('\n')).toContain('scripted failure');
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
      seeds.push(bench.under.backends[0]!.seen.at(-1)!.request.seed);
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
    bench.under.backends[0]!.behaviour = 'answer-forever';
    const header = { 'idempotency-key': 'two' };
    const first = await chat('again', { stream: true }, header);
    expect(await errorOf(await chat('again', { stream: true }, header))).toMatchObject({
      status: 409,
      code: 'idempotency_key_in_use',
    });
    await first.body?.cancel();
    bench.under.backends[0]!.behaviour = 'answer';
  });
});
