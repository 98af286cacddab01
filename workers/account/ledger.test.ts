/** What a ledger lets through, charges and forgets, with a clock that tests move. */
import { describe, expect, test } from 'vitest';
import { NO_LIMITS } from '../objects/tenant-account-contract.ts';
import { DAY, HOUR, NOON, SPENDER, startLedger } from '../testing/start-ledger.ts';
import { KEEP_MS, LEASE_MS } from './ledger.ts';

describe('a limit', () => {
  test('lets through exactly as many requests a minute as it says, in any sixty seconds', () => {
    const { reserve, clock } = startLedger();
    const limits = { requests_per_minute: 2 };
    expect(reserve(limits)).toMatchObject({
      outcome: 'granted',
      allowances: { requests: { limit: 2, remaining: 1, resetMs: 60_000 } },
    });
    clock.time += 10_000;
    expect(reserve(limits)).toMatchObject({
      outcome: 'granted',
      allowances: { requests: { remaining: 0, resetMs: 60_000 } },
    });
    expect(reserve(limits)).toMatchObject({
      outcome: 'denied',
      denial: { limit: 'requests_per_minute', most: 2, used: 2, retryAfterMs: 50_000, tooLarge: false },
    });
    clock.time += 49_999;
    expect(reserve(limits)).toMatchObject({ outcome: 'denied', denial: { retryAfterMs: 1 } });
    clock.time += 1;
    expect(reserve(limits).outcome).toBe('granted');
    expect(reserve(limits)).toMatchObject({ outcome: 'denied', denial: { retryAfterMs: 10_000 } });
  });

  test('on the tokens of a minute waits until enough of them have left', () => {
    const { reserve, clock } = startLedger();
    const limits = { tokens_per_minute: 100 };
    for (let i = 0; i < 4; i++, clock.time += 1_000) expect(reserve(limits, { tokens: 25 }).outcome).toBe('granted');
    expect(reserve(limits, { tokens: 30 })).toMatchObject({ denial: { used: 100, retryAfterMs: 57_000 } });
    expect(reserve(limits, { tokens: 25 })).toMatchObject({ denial: { retryAfterMs: 56_000 } });
  });

  test('is not broken by a wait if the request alone is too large for it', () => {
    const { reserve } = startLedger();
    expect(reserve({ tokens_per_minute: 10, tokens_per_day: 5 }, { tokens: 8 })).toMatchObject({
      outcome: 'denied',
      denial: { limit: 'tokens_per_day', most: 5, retryAfterMs: null, tooLarge: true },
    });
  });

  test.each([
    ['tokens_per_day', 12 * HOUR, '2026-11-30T00:00:00Z'],
    ['tokens_per_month', 36 * HOUR, '2026-12-01T00:00:00Z'],
  ] as const)('%s begins anew with UTC', (limit, retryAfterMs, next) => {
    const { reserve, clock } = startLedger();
    expect(reserve({ [limit]: 10 }, { tokens: 6 }).outcome).toBe('granted');
    expect(reserve({ [limit]: 10 }, { tokens: 6 })).toMatchObject({ denial: { limit, used: 6, retryAfterMs } });
    clock.time = Date.parse(next) - 1;
    expect(reserve({ [limit]: 10 }, { tokens: 6 }).outcome).toBe('denied');
    clock.time += 1;
    expect(reserve({ [limit]: 10 }, { tokens: 6 }).outcome).toBe('granted');
  });

  test('on answers at once waits for one to end, and promises no time', () => {
    const { reserve, settle } = startLedger();
    const limits = { concurrent_streams: 1, requests_per_minute: 10 };
    expect(reserve(limits, { id: 'a' }).outcome).toBe('granted');
    expect(reserve(limits, { id: 'b' })).toMatchObject({ denial: { limit: 'concurrent_streams', retryAfterMs: null } });
    settle('a', 1);
    expect(reserve(limits, { id: 'b' }).outcome).toBe('granted');
  });

  test('on answers at once counts all answers of a request', () => {
    const { reserve, settle } = startLedger();
    const limits = { concurrent_streams: 3 };
    expect(reserve(limits, { id: 'a', answers: 2 }).outcome).toBe('granted');
    expect(reserve(limits, { id: 'b', answers: 2 })).toMatchObject({ denial: { used: 2, tooLarge: false } });
    expect(reserve(limits, { id: 'c', answers: 4 })).toMatchObject({ denial: { most: 3, tooLarge: true } });
    expect(reserve(limits, { id: 'd' }).outcome).toBe('granted');
    settle('a', 1);
    expect(reserve(limits, { id: 'b', answers: 2 }).outcome).toBe('granted');
  });

  test('that an answer has to end for is named, unless the tokens of a day or a month are spent too', () => {
    const { reserve } = startLedger();
    const limits = { concurrent_streams: 1, requests_per_minute: 1, tries_per_prompt_per_minute: 1 };
    expect(reserve(limits, { prompt: 'p', tokens: 6 }).outcome).toBe('granted');
    expect(reserve(limits, { prompt: 'p' })).toMatchObject({
      denial: { limit: 'concurrent_streams', most: 1, used: 1, retryAfterMs: null, tooLarge: false },
    });
    expect(reserve({ ...limits, tokens_per_day: 10, tokens_per_month: 10 }, { tokens: 6 })).toMatchObject({
      denial: { limit: 'tokens_per_month', most: 10, used: 6, retryAfterMs: null, tooLarge: false },
    });
  });

  test('on tries counts one prompt, and not another', () => {
    const { reserve, clock } = startLedger();
    const limits = { tries_per_prompt_per_minute: 1 };
    expect(reserve(limits, { prompt: 'p' }).outcome).toBe('granted');
    clock.time += 5_000;
    expect(reserve(limits, { prompt: 'q' }).outcome).toBe('granted');
    expect(reserve(limits, { prompt: 'p' })).toMatchObject({
      denial: { limit: 'tries_per_prompt_per_minute', retryAfterMs: 55_000 },
    });
  });

  test('is still there after a crash', () => {
    const account = startLedger();
    const limits = {
      requests_per_minute: 1,
      tokens_per_day: 10,
      concurrent_streams: 1,
      tries_per_prompt_per_minute: 1,
    };
    account.reserve(limits, { tokens: 10, prompt: 'p' });
    account.crash();
    for (const limit of Object.keys(limits) as (keyof typeof limits)[]) {
      expect(account.reserve({ [limit]: limits[limit] }, { prompt: 'p' })).toMatchObject({ denial: { limit } });
    }
  });
});

test('a reservation that was not confirmed before a crash is as if it had never been', () => {
  const account = startLedger();
  const caps = { caps: NO_LIMITS, operatorCaps: NO_LIMITS };
  const ask = { spender: SPENDER, tokens: 7, limits: NO_LIMITS, ...caps, prompt: null, idempotency: null };
  account.ledger.reserve({ ...ask, id: 'a' });
  expect(account.ledger.confirm('a')).toBe(true);
  account.ledger.reserve({ ...ask, id: 'b' });
  expect(account.window('2026-11-29').charged).toBe(7);
  const after = startLedger({ store: account.store }).ledger;
  expect([after.confirm('a'), after.confirm('b')]).toEqual([true, false]);
});

describe('a settlement that is not on disk', () => {
  const spent = { prompt: 30, completion: 0 };
  const limits = { ...NO_LIMITS, tokens_per_day: 100 };
  const ask = { spender: SPENDER, limits, caps: limits, operatorCaps: limits, prompt: null, idempotency: null };
  /** What is on disk: the day's sum, and the requests. */
  const onDisk = ({ window, store }: ReturnType<typeof startLedger>) => [
    window('2026-11-29').charged,
    store.exec('SELECT id, state, tokens FROM charges ORDER BY id').toArray(),
  ];

  test('gives back at once, and gets there with what was reserved out of it, or neither does', () => {
    const account = startLedger();
    account.reserve(limits, { id: 'a', tokens: 100 });
    account.ledger.settle({ id: 'a', spender: SPENDER, spent, unlimited: false });
    expect(account.ledger.reserve({ ...ask, id: 'b', tokens: 70 }).outcome).toBe('granted');
    expect(account.ledger.reserve({ ...ask, id: 'c', tokens: 1 }).outcome).toBe('denied');
    expect(onDisk(account)).toEqual([100, [{ id: 'a', state: 'open', tokens: 100 }]]);
    expect(account.usage).toEqual([]);
    account.ledger.confirm('b');
    expect(onDisk(account)).toEqual([
      100,
      [
        { id: 'a', state: 'settled', tokens: 30 },
        { id: 'b', state: 'open', tokens: 70 },
      ],
    ]);
    expect(account.usage).toMatchObject([{ request: 'a', charged_tokens: 30, revision: 1 }]);
  });

  test('is lost with a crash: all of the reservation stays charged until it comes again', () => {
    const account = startLedger();
    account.reserve(limits, { id: 'a', tokens: 100 });
    account.ledger.settle({ id: 'a', spender: SPENDER, spent, unlimited: false });
    account.ledger.reserve({ ...ask, id: 'b', tokens: 70 });
    account.crash();
    expect(account.ledger.confirm('b')).toBe(false);
    expect(account.ledger.reserve({ ...ask, id: 'c', tokens: 1 }).outcome).toBe('denied');
    account.settle('a', 30);
    expect(account.window('2026-11-29')).toEqual({ charged: 30, settled: 30 });
    expect(account.usage).toMatchObject([{ request: 'a', charged_tokens: 30, revision: 1 }]);
  });

  test('counts once, also if it comes again before it is there, or its request does', () => {
    const account = startLedger();
    account.ledger.reserve({ ...ask, id: 'a', tokens: 100 });
    for (let i = 0; i < 2; i++) account.ledger.settle({ id: 'a', spender: SPENDER, spent, unlimited: false });
    expect(account.ledger.reserve({ ...ask, id: 'a', tokens: 100 }).outcome).toBe('granted');
    account.ledger.save();
    expect(onDisk(account)).toEqual([30, [{ id: 'a', state: 'settled', tokens: 30 }]]);
    expect(account.usage).toHaveLength(1);
  });
});

describe('a settlement', () => {
  test('puts what was spent in the place of what was reserved, once', () => {
    const { reserve, settle, window, usage } = startLedger();
    reserve({}, { id: 'a', tokens: 100 });
    expect(window('2026-11-29')).toEqual({ charged: 100, settled: 0 });
    settle('a', 30);
    settle('a', 30);
    settle('a', 99);
    for (const name of ['2026-11-29', '2026-11']) expect(window(name)).toEqual({ charged: 30, settled: 30 });
    expect(usage).toEqual([
      {
        request: 'a',
        ...SPENDER,
        day: '2026-11-29',
        prompt_tokens: 30,
        completion_tokens: 0,
        charged_tokens: 30,
        revision: 1,
      },
    ]);
  });

  test('that never comes leaves all that was reserved charged; if it comes late, it is exact', () => {
    const { reserve, settle, window, clock, crash, usage } = startLedger();
    reserve({ concurrent_streams: 1 }, { id: 'a', tokens: 100 });
    crash();
    clock.time += LEASE_MS - 1;
    expect(reserve({ concurrent_streams: 1 }).outcome).toBe('denied');
    clock.time += 1;
    expect(reserve({ concurrent_streams: 1 }, { tokens: 0 }).outcome).toBe('granted');
    expect(window('2026-11-29')).toEqual({ charged: 100, settled: 100 });
    clock.time += DAY;
    settle('a', 30);
    expect(window('2026-11-29')).toEqual({ charged: 30, settled: 30 });
    const booked = usage.filter(({ request }) => request === 'a');
    expect(booked.map(({ charged_tokens, revision }) => [charged_tokens, revision])).toEqual([
      [100, 1],
      [30, 2],
    ]);
  });

  test('counts once, however long the answer took and however late the call is repeated', () => {
    const { ledger, reserve, settle, clock, window } = startLedger();
    reserve({}, { id: 'a', tokens: 50 });
    clock.time += HOUR;
    settle('a', 5);
    ledger.tidy();
    clock.time += 20_000;
    settle('a', 5);
    expect(window('2026-11')).toEqual({ charged: 5, settled: 5 });
  });

  test('counts where the request began, also after midnight', () => {
    const { reserve, settle, window, clock } = startLedger({ time: Date.UTC(2026, 10, 30, 23, 59, 59) });
    reserve({}, { id: 'a', tokens: 100 });
    clock.time += 5_000;
    settle('a', 30);
    expect([window('2026-11-30').settled, window('2026-11').settled, window('2026-12-01').settled]).toEqual([
      30, 30, 0,
    ]);
  });

  test('without a reservation is recorded, so that a limit that comes later finds it', () => {
    const { reserve, settle, window } = startLedger();
    settle('a', 30);
    settle('a', 30);
    expect(window('2026-11')).toEqual({ charged: 30, settled: 30 });
    expect(reserve({ tokens_per_month: 31 }, { tokens: 2 }).outcome).toBe('denied');
  });
});

test('a lease that is renewed holds its place', () => {
  const { reserve, ledger, clock } = startLedger();
  reserve({}, { id: 'a' });
  for (let i = 0; i < 5; i++) {
    clock.time += LEASE_MS - 1;
    ledger.renew(['a', 'unknown']);
  }
  expect(reserve({ concurrent_streams: 1 }).outcome).toBe('denied');
});

test('a renewal that comes after the lease has run out takes the place back, and the books stay right', () => {
  const { reserve, settle, ledger, clock, window, usage } = startLedger();
  reserve({ concurrent_streams: 1 }, { id: 'a', tokens: 50 });
  for (const revision of [1, 2]) {
    clock.time += LEASE_MS;
    ledger.tidy();
    expect(window('2026-11-29')).toEqual({ charged: 50, settled: 50 });
    expect(usage.at(-1)).toMatchObject({ request: 'a', charged_tokens: 50, revision });
    ledger.renew(['a']);
    expect(window('2026-11-29')).toEqual({ charged: 50, settled: 0 });
    expect(reserve({ concurrent_streams: 1 }).outcome).toBe('denied');
  }
  settle('a', 20);
  expect(window('2026-11-29')).toEqual({ charged: 20, settled: 20 });
  expect(usage.at(-1)).toMatchObject({ request: 'a', charged_tokens: 20, revision: 3 });
  expect(reserve({ concurrent_streams: 1 }).outcome).toBe('granted');
});

test('a reservation grows if there is room, and never shrinks', () => {
  const { reserve, ledger, window, clock } = startLedger();
  const limits = { ...NO_LIMITS, tokens_per_day: 100 };
  reserve(limits, { id: 'a', tokens: 50 });
  expect(ledger.grow('a', 40, limits)).toEqual({ outcome: 'granted' });
  expect(ledger.grow('a', 100, limits)).toEqual({ outcome: 'granted' });
  expect(ledger.grow('a', 101, limits)).toMatchObject({ outcome: 'denied', limit: 'tokens_per_day' });
  expect(window('2026-11-29').charged).toBe(100);
  clock.time += LEASE_MS;
  expect(ledger.grow('a', 101, NO_LIMITS)).toEqual({ outcome: 'lapsed' });
});

test('a reservation that cannot grow is told of the limit that leaves least', () => {
  const { reserve, ledger, clock } = startLedger();
  const limits = { ...NO_LIMITS, tokens_per_minute: 70, tokens_per_day: 100 };
  reserve(limits, { id: 'a', tokens: 50 });
  expect(ledger.grow('a', 110, limits)).toEqual({ outcome: 'denied', limit: 'tokens_per_minute', most: 70, used: 50 });
  expect(ledger.grow('a', 70, limits)).toEqual({ outcome: 'granted' });
  // It has left the minute, so the minute has room, but not for more than 70.
  clock.time += LEASE_MS - 1;
  ledger.renew(['a']);
  clock.time += 1;
  expect(ledger.grow('a', 141, limits)).toEqual({ outcome: 'denied', limit: 'tokens_per_day', most: 100, used: 70 });
});

test('a clock that was far ahead for a moment locks nobody out', () => {
  const { reserve, clock } = startLedger();
  clock.time += 400 * DAY;
  reserve({ requests_per_minute: 1 }, { id: 'a' });
  clock.time = NOON;
  expect(reserve({ requests_per_minute: 1 })).toMatchObject({ denial: { retryAfterMs: 60_000 } });
  expect(reserve({ concurrent_streams: 1 }).outcome).toBe('denied');
  clock.time += 60_000;
  expect(reserve({ requests_per_minute: 1, concurrent_streams: 1 }).outcome).toBe('granted');
});

test('rows that nobody can ask for again are dropped, and no sum changes', () => {
  const { ledger, reserve, settle, clock, store, window } = startLedger();
  reserve({}, { id: 'a', tokens: 5 });
  settle('a', 5);
  reserve({}, { id: 'b', tokens: 7 });
  expect(ledger.tidy()).toBe(LEASE_MS);
  clock.time += LEASE_MS;
  const ids = () =>
    store
      .exec<{ id: string }>('SELECT id FROM charges ORDER BY id')
      .toArray()
      .map(({ id }) => id);
  expect([ledger.tidy(), ids()]).toEqual([9 * 60_000, ['a', 'b']]);
  clock.time += 9 * 60_000;
  expect([ledger.tidy(), ids()]).toEqual([KEEP_MS - 10 * 60_000, ['b']]);
  clock.time += KEEP_MS;
  expect([ledger.tidy(), ids()]).toEqual([null, []]);
  expect(window('2026-11')).toEqual({ charged: 12, settled: 12 });
});
