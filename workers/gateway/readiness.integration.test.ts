/** Whether traffic should come here, told apart from whether the Worker runs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EdgeUnderTest, startEdgeUnderTest } from '../testing/edge-under-test.ts';

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
  expect(await (await fetch(`${under.edge.url}/livez`)).json()).toEqual({ status: 'ok' });
});
