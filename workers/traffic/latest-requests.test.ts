import { expect, test } from 'vitest';
import type { OverRequest } from '../objects/live-traffic-contract.ts';
import { createLatestRequests, FORGET_MS, MOST_OF_ALL, MOST_OF_TENANT } from './latest-requests.ts';

function latest() {
  const clock = { now: Date.parse('2026-11-30T08:00:00.000Z') };
  const memory = createLatestRequests({ epoch: 'aaaaaaaa', now: () => clock.now });
  const request = (tenant: string): OverRequest => ({
    request: 'req_1',
    at: new Date(clock.now).toISOString(),
    ...{ tenant, key: 'web', route: 'POST /v1/chat/completions', model: null, outcome: 'answered', status: 200 },
    ...{
      code: null,
      ms: 5,
      policy: null,
      canary: false,
      floor: null,
      budget: null,
      spent: null,
      categories: [],
      because: null,
    },
    ...{ weights: null, prompt_tokens: null, completion_tokens: null, finish_reason: null, cache: null, backend: null },
  });
  const add = (tenant: string, count = 1, lost = 0) =>
    memory.add({ tenant, requests: Array.from({ length: count }, () => request(tenant)), lost });
  const page = (tenant: string | null = null, after: string | null = null) =>
    memory.page({ tenant, after, limit: 1000 });
  return { clock, add, page };
}

test('a cursor goes on where the page before it ended, of one tenant and of all', () => {
  const { add, page } = latest();
  add('a', 2);
  const { cursor, data } = page();
  expect(data.map(({ seq, tenant }) => [seq, tenant])).toEqual([
    [1, 'a'],
    [2, 'a'],
  ]);
  add('b');
  add('a');
  expect(page(null, cursor).data.map(({ seq }) => seq)).toEqual([3, 4]);
  expect(page('a', cursor).data.map(({ seq }) => seq)).toEqual([4]);
  expect(page('nobody').data).toEqual([]);
  expect(page('a', 'bbbbbbbb.4').data).toHaveLength(3);
});

test('a busy tenant pushes out its own requests, and a quiet one keeps what it has', () => {
  const { add, page } = latest();
  add('quiet');
  for (let batch = 0; batch < 30; batch++) add('busy', 50, 1);
  expect(page('busy').data).toHaveLength(MOST_OF_TENANT);
  expect(page('quiet').data).toHaveLength(1);
  expect(page().data).toHaveLength(MOST_OF_ALL);
  expect([page('busy').lost, page('quiet').lost, page().lost]).toEqual([30, 0, 30]);
});

test('what is older than an hour is not told', () => {
  const { clock, add, page } = latest();
  add('a');
  clock.now += FORGET_MS + 1;
  add('a');
  expect(page('a').data.map(({ seq }) => seq)).toEqual([2]);
  expect(page().data.map(({ seq }) => seq)).toEqual([2]);
});

test('the tenants that were silent for longest are forgotten first', () => {
  const { add, page } = latest();
  for (let tenant = 0; tenant <= 500; tenant++) add(`t${tenant}`);
  expect(page('t0').data).toEqual([]);
  expect(page('t500').data).toHaveLength(1);
});
