import { expect, test } from 'vitest';
import { createFreeWork, type FreeWork } from './free-work.ts';

type Caller = Parameters<FreeWork>[0];
/** The cast: nothing else of a policy is looked at. */
const caller = (tenant: string, requests_per_minute: number | null) =>
  ({ tenant, limits: null, policy: { limits: { requests_per_minute } } }) as unknown as Caller;

test('a tenant without a limit on requests is bounded, and others are not because of it', () => {
  let nowMs = 0;
  const take = createFreeWork({ most: 2, now: () => nowMs });
  const acme = caller('acme', null);
  take(acme);
  take(acme);
  expect(() => take(acme)).toThrow(
    expect.objectContaining({ code: 'rate_limit_exceeded', retryAfterSeconds: 60 }) as Error,
  );
  take(caller('globex', null));
  nowMs = 60_000;
  take(acme);
});

test('where the account counts requests, nobody counts again', () => {
  const take = createFreeWork({ most: 1 });
  for (let i = 0; i < 5; i++) take(caller('acme', 60));
});

test('what is done before the account counts is bounded, whatever the account would count', () => {
  let nowMs = 0;
  const take = createFreeWork({ most: 2, now: () => nowMs });
  const acme = caller('acme', 60);
  take(acme, { isCounted: false });
  take(acme, { isCounted: false });
  expect(() => take(acme, { isCounted: false })).toThrow(
    expect.objectContaining({ code: 'rate_limit_exceeded', message: expect.stringMatching(/tries/) }) as Error,
  );
  take(acme);
  nowMs = 60_000;
  take(acme, { isCounted: false });
});
