/** The retries of an isolate, and the tenants that share them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type EdgeUnderTest, post, startEdgeUnderTest, testKey } from '../testing/edge-under-test.ts';

const REQUESTS = 140;
const AT_A_TIME = 35;

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ backendCount: 2, seed: false, limits: { failing: {}, other: {} } });
});
afterAll(() => under.dispose());

/** How often backends are asked for one request. */
async function attempts(tenant: string, prompt: string): Promise<number> {
  const before = under.backends.reduce((sum, { seen }) => sum + seen.length, 0);
  const answer = await post(under.edge, '/v1/chat/completions', ask(prompt), testKey(tenant));
  await answer.body?.cancel();
  return under.backends.reduce((sum, { seen }) => sum + seen.length, 0) - before;
}

test('a tenant whose requests all fail uses up its own retries and not those of another', async () => {
  for (const backend of under.backends) backend.behaviour = 'refuse-overloaded';
  for (let sent = 0; sent < REQUESTS; sent += AT_A_TIME) {
    await Promise.all(Array.from({ length: AT_A_TIME }, (_, i) => attempts('failing', `Prompt ${sent + i}`)));
  }
  expect(await attempts('other', 'One prompt')).toBe(2);
});
