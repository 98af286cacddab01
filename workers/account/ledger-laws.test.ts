/** The ledger against a slow and obvious one, with a clock that tests move. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Limits } from '../objects/tenant-account-contract.ts';
import { SlowLedger } from '../testing/slow-ledger.ts';
import { DAY, HOUR, SPENDER, startLedger } from '../testing/start-ledger.ts';
import { LEASE_MS } from './ledger.ts';
import type { UsageEvent } from './ledger-contract.ts';

const few = (max: number) => fc.integer({ min: 0, max });
const limit = (max: number) => fc.option(few(max), { nil: null });
const anyLimits: fc.Arbitrary<Limits> = fc.record({
  requests_per_minute: limit(5),
  tokens_per_minute: limit(30),
  concurrent_streams: limit(4),
  tokens_per_day: limit(60),
  tokens_per_month: limit(90),
  tries_per_prompt_per_minute: limit(2),
});
const anyStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      tokens: few(14),
      prompt: fc.constantFrom('p', 'q', null),
      idempotency: fc.option(fc.record({ key: fc.constantFrom('k', 'l'), body: fc.constantFrom('b', 'b', 'b', 'c') }), {
        nil: null,
      }),
      again: fc.nat(9),
      isSaved: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(),
      share: few(4),
      isSaved: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('renew' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grow' as const), which: fc.nat(), more: few(9) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 500, 20_000, 59_999, 60_000, HOUR, DAY, 31 * DAY, -1, -30_000, -90_000, -DAY),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('limits' as const), limits: anyLimits }) },
);

test('agrees with the slow ledger on every step, and no limit is ever exceeded', () => {
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(anyLimits, fc.array(anyStep, { minLength: 1, maxLength: 60 }), (firstLimits, steps) => {
      const account = startLedger();
      const slow = new SlowLedger();
      const { clock } = account;
      const asked: string[] = [];
      let unsaved: string[] = [];
      let unsettled: string[] = [];
      let count = 0;
      let limits = firstLimits;

      for (const step of steps) {
        const id = 'which' in step && asked.length > 0 ? asked[step.which % asked.length]! : null;
        if (step.do === 'wait') clock.time += step.ms;
        if (step.do === 'crash') {
          account.crash();
          // What was only in memory is gone, and nothing else.
          const rows = account.store.exec<{ id: string }>('SELECT id FROM charges').toArray();
          const lost = asked.filter((each) => !rows.some((row) => row.id === each));
          for (const each of lost) {
            expect(unsaved).toContain(each);
            expect(account.ledger.confirm(each)).toBe(false);
            slow.requests.splice(slow.requests.indexOf(slow.find(each)!), 1);
            asked.splice(asked.indexOf(each), 1);
          }
          const open = account.store
            .exec<{ id: string; tokens: number; expires_at: number }>("SELECT * FROM charges WHERE state = 'open'")
            .toArray();
          for (const { id, tokens, expires_at: expiresAt } of open) {
            const request = slow.find(id)!;
            if (request.state !== 'settled') continue;
            expect(unsettled).toContain(id);
            Object.assign(request, { state: 'open', charged: tokens, expiresAt });
          }
          unsaved = [];
          unsettled = [];
        }
        if (step.do === 'limits') limits = step.limits;
        if (step.do === 'reserve') {
          const again = step.again === 0 && asked.length > 0;
          const { tokens, prompt, idempotency } = step;
          const ask = {
            id: again ? asked[0]! : `r${count++}`,
            spender: SPENDER,
            tokens,
            limits,
            caps: limits,
            operatorCaps: limits,
            prompt,
            idempotency,
          };
          const verdict = account.ledger.reserve(ask);
          const expected = slow.reserve(ask, clock.time);
          outcomes.add(verdict.outcome);
          expect(verdict.outcome).toBe(typeof expected === 'object' ? 'denied' : expected);
          const future = slow.requests.some(({ day }) => Date.parse(day) > clock.time);
          if (verdict.outcome === 'denied' && typeof expected === 'object' && !future) {
            expect(verdict.denial.retryAfterMs).toBe(expected.waitMs);
          }
          if (verdict.outcome === 'granted' && !again) {
            asked.push(ask.id);
            unsaved.push(ask.id);
            const used = slow.used(clock.time, prompt);
            const counted = slow.find(ask.id)!.charged;
            for (const name of Object.keys(limits) as (keyof Limits)[]) {
              // A repeat that costs nothing may come after a limit was lowered.
              if (name.startsWith('tokens_') && counted === 0) continue;
              if (name === 'tries_per_prompt_per_minute' && prompt === null) continue;
              expect(used[name]).toBeLessThanOrEqual(limits[name] ?? Number.POSITIVE_INFINITY);
            }
          }
        }
        if (id !== null && step.do === 'settle') {
          // A request never spends more than was reserved for it.
          const most = slow.find(id)!;
          const total = Math.floor(((most.charged + most.credit) * step.share) / 4);
          account.ledger.settle({ id, spender: SPENDER, spent: { prompt: total, completion: 0 }, unlimited: false });
          slow.settle(id, total, clock.time);
          unsettled.push(id);
        }
        if (id !== null && step.do === 'renew') {
          account.ledger.renew([id]);
          slow.renew(id, clock.time);
        }
        if (id !== null && step.do === 'grow') {
          const tokens = slow.find(id)!.charged + step.more;
          const { outcome } = account.ledger.grow(id, tokens, limits);
          expect(outcome).toBe(slow.grow(id, tokens, limits, clock.time));
        }
        const isSaved = 'isSaved' in step && step.isSaved;
        if (isSaved) account.ledger.save();
        if (isSaved || (id !== null && (step.do === 'renew' || step.do === 'grow'))) {
          unsaved = [];
          unsettled = [];
        }
        if (unsaved.length + unsettled.length > 0) continue;
        const windows = new Set(slow.requests.flatMap(({ day }) => [day, day.slice(0, 7)]));
        for (const name of windows) expect(account.window(name).charged).toBe(slow.charged(name));
      }

      // Whatever happened, once all leases are over the books hold what was charged.
      for (const ms of [0, LEASE_MS]) {
        clock.time += ms;
        slow.moveTo(clock.time);
        account.ledger.tidy();
      }
      const booked = new Map<string, UsageEvent>();
      for (const event of account.usage) {
        expect(event.revision).toBeGreaterThan(booked.get(event.request)?.revision ?? 0);
        booked.set(event.request, event);
      }
      for (const { id, day, charged } of slow.requests)
        expect(booked.get(id)).toMatchObject({ day, charged_tokens: charged });
      for (const day of new Set(slow.requests.map(({ day }) => day))) {
        expect(account.window(day)).toEqual({ charged: slow.charged(day), settled: slow.settled(day) });
      }
    }),
    { numRuns: 150 },
  );
  expect([...outcomes].sort()).toEqual(['denied', 'granted', 'key-in-use', 'key-reused']);
});
