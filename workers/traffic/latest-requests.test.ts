import { expect, test } from 'vitest';
import type { OverRequest } from '../objects/live-traffic-contract.ts';
import { createLatestRequests, FORGET_MS, MOST_OF_ALL, MOST_OF_TENANT, SWEEP_MS } from './latest-requests.ts';

function latest() {
  const clock = { now: Date.parse('2026-11-30T08:00:00.000Z') };
  let lives = 0;
  const newLife = () => (lives++).toString(16).padStart(8, '0');
  const memory = createLatestRequests({ newLife, now: () => clock.now });
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
  return { clock, add, page, forget: memory.forget, lose: memory.lose };
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
  expect(page('nobody').data).toEqual([]);
  expect(page('a', 'bbbbbbbb.4').data).toHaveLength(3);
});

test('a tenant learns nothing of how much the others ask', () => {
  const { add, page } = latest();
  const before = [page('a').cursor];
  add('other', 7);
  expect([page('a').cursor]).toEqual(before);
  add('a');
  const { cursor, data } = page('a');
  add('other', 7);
  expect(page('a', cursor)).toMatchObject({ data: [], cursor });
  add('a');
  expect([...data, ...page('a', cursor).data].map(({ seq }) => seq)).toEqual([1, 2]);
});

test('a cursor of another view is none, nor is one from before a tenant was forgotten', () => {
  const { add, page } = latest();
  add('b', 5);
  add('a', 2);
  expect(page('a', page().cursor).data).toHaveLength(2);
  expect(page(null, page('a').cursor).data).toHaveLength(7);
  const { cursor } = page('a');
  for (let tenant = 0; tenant < 500; tenant++) add(`t${tenant}`);
  expect(page('a', cursor).data).toEqual([]);
  add('a');
  expect(page('a', cursor).data).toHaveLength(1);
});

test('what could not be told of tenants without a name here counts for the operator', () => {
  const { add, page, lose } = latest();
  add('a', 1, 2);
  lose(3);
  expect([page('a').lost, page().lost]).toEqual([2, 5]);
});

test('what is older than an hour is let go of, though nobody reads that tenant', () => {
  const { clock, add, page } = latest();
  add('a');
  const began = clock.now;
  clock.now += FORGET_MS + SWEEP_MS;
  add('b');
  // If it were only hidden, it would be here again.
  clock.now = began;
  expect(page('a').data).toEqual([]);
  expect(page().data.map(({ tenant }) => tenant)).toEqual(['b']);
});

test('a tenant that is erased is forgotten, with what comes of it late', () => {
  const { clock, add, page, forget } = latest();
  add('a', 3);
  add('b');
  const { cursor } = page('a');
  forget('a');
  add('a');
  expect(page('a')).toMatchObject({ data: [], lost: 0 });
  expect(page().data.map(({ tenant }) => tenant)).toEqual(['b']);
  // A backup has brought it back.
  clock.now += 1;
  add('a');
  expect(page('a', cursor).data.map(({ seq }) => seq)).toEqual([1]);
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
