/** What a judged answer costs, whoever still waits for the verdict. In workerd. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type EdgeUnderTest, eventually, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { AccountCall } from '../testing/worker/account-call.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  const limits = { left: { tokens_per_day: 10_000 } };
  under = await startEdgeUnderTest({ seed: false, limits, scoresOf: () => ({ reward: 1, cost: -1 }) });
});
afterAll(() => under.dispose());

/** What the account has charged, once nothing is under way any more. */
async function charges(tenant: string) {
  const argument = 'SELECT state, tokens, key FROM charges';
  const body = JSON.stringify({ tenant, call: 'rows', argument } satisfies AccountCall);
  for (;;) {
    const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body });
    const rows = (await answer.json()) as { state: string; tokens: number; key: string }[];
    if (rows.length > 0 && rows.every(({ state }) => state !== 'open')) return rows;
    await sleep(20);
  }
}

/** Sends a request on a connection of its own. Returns what breaks it off, as a client dies. */
function score(tenant: string): () => void {
  const { hostname, port } = new URL(under.edge.url);
  const body = JSON.stringify({ ...ask('Hi'), answer: 'Hello.' });
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write(
    [
      `POST /admin/v1/tenants/${tenant}/score HTTP/1.1`,
      `host: ${hostname}`,
      `authorization: Bearer ${OPERATOR_KEY}`,
      `content-length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
  return () => socket.resetAndDestroy();
}

test('whoever hangs up while an answer is judged pays for all that the heads read, to the token', async () => {
  const backend = under.backends[0]!;
  backend.behaviour = 'hold-scores';
  const hangUp = score('left');
  await eventually(
    () => backend.scored,
    (count) => count === 1,
  );
  hangUp();
  // An edge that gives up has closed its connection by now. The heads are not told, and read on.
  await sleep(500);
  backend.behaviour = 'answer';
  expect(await charges('left')).toEqual([{ state: 'settled', tokens: 12, key: 'trial:operator' }]);
});
