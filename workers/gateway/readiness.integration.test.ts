/** Whether traffic should come here, told apart from whether the Worker runs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, heartbeatKey, signHeartbeat } from '#shared/protocol/heartbeat.ts';
import { helpfulnessKey } from '#shared/protocol/pool-secret.ts';
import { DIRECTIVE_SECRET, type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { poolReport } from '../testing/pool-report.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2 });
});
afterAll(() => under.dispose());

test('an edge with backends and tenants is ready, and tells anyone no more than counts', async () => {
  const response = await fetch(`${under.edge.url}/readyz`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ status: 'ready', backends: { alive: 2, total: 2 }, tenants: 'ok' });
});

test('without any backend it is not ready, and lives', async () => {
  for (const backend of under.backends) backend.behaviour = 'hang';
  await Promise.all(under.backends.map((backend) => backend.close()));
  // A snapshot of the backends is some seconds old at the most.
  const deadline = Date.now() + 30_000;
  let response = await fetch(`${under.edge.url}/readyz`);
  while (response.status === 200 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    response = await fetch(`${under.edge.url}/readyz`);
  }
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ status: 'not_ready', backends: { alive: 0, total: 2 }, tenants: 'ok' });
  expect((await fetch(`${under.edge.url}/health`)).status).toBe(503);
  expect(await (await fetch(`${under.edge.url}/livez`)).json()).toEqual({ status: 'ok' });
});

test('a backend of the helpfulness pool answers nothing alone, so with it the edge is no readier', async () => {
  const report = poolReport('http://127.0.0.1:13', { modes: ['edge'], serves: ['helpfulness'] });
  const key = await heartbeatKey(await helpfulnessKey(directiveKey(DIRECTIVE_SECRET)));
  const authorization = `Bearer ${await signHeartbeat({ incarnation: 1, counter: 1, report }, key)}`;
  const heard = await fetch(under.edge.url + HEARTBEAT_PATH, { method: 'POST', headers: { authorization } });
  expect([heard.status, await heard.json()]).toEqual([200, { drain: false }]);
  const counts = async (route: string) => {
    const response = await fetch(under.edge.url + route);
    // The cast: what both routes say.
    const { backends } = (await response.json()) as { backends: { alive: number; total: number } };
    return { status: response.status, backends };
  };
  // An isolate believes its list for two seconds.
  while ((await counts('/healthz')).backends.total < 3) await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await counts('/readyz')).toEqual({ status: 503, backends: { alive: 0, total: 3 } });
  expect(await counts('/healthz')).toEqual({ status: 200, backends: { alive: 0, total: 3 } });
});
